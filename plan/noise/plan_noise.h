// How much noise a plan needs, and what a planned run spends: the accountants' part of a plan. Pure functions.
#pragma once

#include "plan/plan_file.h"
#include "plan/run_plan.h"

namespace sotto::plan {

// q, sigma and what they spend: sets every site's noise_multiplier (plan.sites have names, sizes and sampling rates) and
// plan.target_epsilon. Noise is calibrated to the file's epsilon over all rounds and local steps, or taken from the file.
Result<void> set_noise(const PlanFile& file, RunPlan& plan);

// Epsilon of the whole run at the plan's delta, as a ledger charges it. Fails (kInvalid) where no accountant has a finite
// bound.
Result<double> planned_epsilon(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension);

}  // namespace sotto::plan

namespace sotto::audit {
using plan::planned_epsilon;
using plan::set_noise;
}  // namespace sotto::audit
