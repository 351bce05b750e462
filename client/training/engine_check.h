// The engine's self-check, before the first private record is read, in a run and where a site trains alone. On random token
// ids and throw-away state it checks that the fast clipped sum equals a slow one, that a step moves the weights, and that
// the noise has the spread that its event states. It does not touch a site's data.
#pragma once

#include "base/random.h"
#include "model/inference/language_model.h"
#include "plan/run_plan.h"

namespace sotto::client {

// Of a plan without privacy only the length of its records is checked. Refused with what differed and by how much. Leaves
// `model` without an adapter.
Result<void> check_engine(const RunPlan& plan, const SitePlan& own, model::LanguageModel& model, RandomSource& random);

}  // namespace sotto::client
