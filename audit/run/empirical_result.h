// What a site's planted canaries showed of a run: the audit_measured event, read with the plan that fixed its terms.
#pragma once

#include <optional>

#include "audit/log/site_events.h"
#include "privacy/empirical.h"

namespace sotto::audit {

// Guesses out of `canaries`: half of them, an even number. Fixed by the plan, so that nobody chooses it after the scores.
std::uint64_t planned_guesses(std::uint32_t canaries);

// The delta at which attack and proof are compared: the plan's, or failure / (100 m) when that is smaller. The bound adds up
// to 2 m delta to the probability of being wrong, which would swallow all evidence at the plan's delta; the proof holds at
// every delta at once.
double audit_delta(const RunPlan& plan);

struct EmpiricalResult {
  AuditMeasured measured;
  double failure = 0;        // probability with which each bound may be wrong
  double delta = 0;          // audit_delta(plan)
  double epsilon_lower = 0;  // at that delta (Steinke, Nasr, Jagielski 2023)
  double mu_lower = 0;       // of a Gaussian mechanism (Mahloujifar, Melis, Chaudhuri 2024)
};
// Refused when the event's counts are not those that the plan fixed.
Result<EmpiricalResult> result_of(const AuditMeasured& measured, const RunPlan& plan);

}  // namespace sotto::audit
