#include "audit/run/empirical_result.h"

#include <algorithm>
#include <string>

namespace sotto::audit {

std::uint64_t planned_guesses(std::uint32_t canaries) { return canaries / 4 * 2; }

double audit_delta(const RunPlan& plan) {
  return std::min(plan.delta, plan.audit_failure / (100.0 * std::max<std::uint32_t>(plan.canaries, 1)));
}

Result<EmpiricalResult> result_of(const AuditMeasured& measured, const RunPlan& plan) {
  if (measured.canaries != plan.canaries || measured.guesses != planned_guesses(plan.canaries)) {
    return invalid("the audit has " + std::to_string(measured.guesses) + " guesses of " + std::to_string(measured.canaries) +
                   " canaries, and the plan fixed " + std::to_string(planned_guesses(plan.canaries)) + " of " +
                   std::to_string(plan.canaries));
  }
  const privacy::GuessCount count{measured.canaries, measured.guesses, measured.correct};
  SOTTO_TRY_VOID(privacy::check(count));
  const double delta = audit_delta(plan);
  return EmpiricalResult{measured, plan.audit_failure, delta, privacy::one_run_epsilon(count, delta, plan.audit_failure),
                         privacy::one_run_mu(count, plan.audit_failure)};
}

}  // namespace sotto::audit
