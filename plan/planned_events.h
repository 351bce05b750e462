// What a plan means: how a step draws its units, how its noise hangs together, and the events that a site's run leaves if
// sampler and noise do what the plan says. Training draws by step_sampling(), and ledgers reserve by planned_round(), which is
// made of it: what is drawn and what is charged cannot differ. Fails on a plan whose numbers have no events (validate(plan)
// refuses most of them). Pure functions.
#pragma once

#include <string>
#include <vector>

#include "plan/run_plan.h"
#include "privacy/mechanism/correlation.h"

namespace sotto::plan {

// How step `step` of the run (from 0) draws its units at a site. A new sampler gets its line here.
struct StepSampling {
  privacy::DpEvent event;   // the members about unit and sampling: what SampledUnits::draw takes, and what it returns
  std::uint64_t epoch = 0;  // number of the stream that says which units take part in which step; others have no use for it
};
StepSampling step_sampling(const RunPlan& plan, const SitePlan& site, std::uint64_t step);
std::string sampling_words(const RunPlan& plan);  // "Poisson sampling"
// Whether every round of a site has the same events; otherwise they tell their step of an epoch or run.
bool rounds_are_alike(const RunPlan& plan);

// Correlation of a plan's noise over its steps, and the grid of its sums of `dimension` trained numbers.
privacy::Correlation correlation_of(const RunPlan& plan);
privacy::Grid step_grid(const RunPlan& plan, std::size_t dimension);

// The events of one round of run `plan` at a site: what a site reserves. Empty for a plan without privacy. `dimension` =
// trained coordinates. `round` matters only where rounds are not alike.
Result<std::vector<privacy::DpEvent>> planned_round(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension,
                                                    RoundId round = RoundId(0));

// All rounds of the run: what a site judges before it approves. Where units are kept apart (min_separation) the run is one
// event.
Result<std::vector<privacy::DpEvent>> planned_run(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension);

}  // namespace sotto::plan

namespace sotto::audit {
using plan::correlation_of;
using plan::planned_round;
using plan::planned_run;
using plan::step_grid;
using privacy::merged;
}  // namespace sotto::audit
