#include "audit/empirical_result.h"

#include <string>

namespace sotto::audit {

std::uint64_t planned_guesses(std::uint32_t canaries) { return canaries / 4 * 2; }

Result<EmpiricalResult> result_of(const AuditMeasured& measured, const RunPlan& plan) {
  if (measured.canaries != plan.canaries || measured.guesses != planned_guesses(plan.canaries)) {
    return invalid("the audit has " + std::to_string(measured.guesses) + " guesses of " + std::to_string(measured.canaries) +
                   " canaries, and the plan fixed " + std::to_string(planned_guesses(plan.canaries)) + " of " +
                   std::to_string(plan.canaries));
  }
  const privacy::GuessCount count{measured.canaries, measured.guesses, measured.correct};
  SOTTO_TRY_VOID(privacy::check(count));
  return EmpiricalResult{measured, plan.audit_failure, privacy::one_run_epsilon(count, plan.delta, plan.audit_failure),
                         privacy::one_run_mu(count, plan.audit_failure)};
}

}  // namespace sotto::audit
