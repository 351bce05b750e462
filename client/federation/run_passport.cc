#include "client/federation/run_passport.h"

#include "audit/ledger/accounting.h"
#include "client/training/training_facts.h"
#include "lineage/passport.h"

namespace sotto::client {

Json passport_of(const RunOutcome& outcome) {
  const RunPlan& plan = *outcome.plan;
  const auto& spending = *outcome.spending;
  lineage::RunFacts facts{outcome.adapter, &plan, plan.parent};
  facts.federated = true;
  facts.precision = outcome.precision == Precision::kBf16 ? "bf16" : "fp32";
  facts.steps = std::uint64_t{plan.rounds} * plan.local_steps;
  facts.epsilon = audit::composed_epsilon(spending.of_run(plan.run), plan.delta);
  const auto all = spending.total(spending.budget_of(plan.run));
  facts.epsilon_with_earlier_runs = audit::composed_epsilon(all, plan.delta);
  facts.neighbours_with_earlier_runs = audit::relation_text(all.events, to_string(plan.unit));
  facts.data = data_facts(outcome.data, plan.sites.at(outcome.site.value()), plan.unit);
  facts.log = log_facts(*outcome.log);
  return lineage::make_passport(facts);
}

}  // namespace sotto::client
