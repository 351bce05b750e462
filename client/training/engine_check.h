// "Proves itself": what stands before the first private record, in a run and where a site trains alone. On random token ids
// and throw-away state: the fast clipped sum against a slow one, a step that moves the weights, and noise with the spread
// that its event states. Nothing of a site's data is touched.
#pragma once

#include "base/random.h"
#include "model/inference/language_model.h"
#include "plan/run_plan.h"

namespace sotto::client {

// Of a plan without privacy only the length of its records is checked. Refused with what differed and by how much. Leaves
// `model` without an adapter.
Result<void> check_engine(const RunPlan& plan, const SitePlan& own, model::LanguageModel& model, RandomSource& random);

}  // namespace sotto::client
