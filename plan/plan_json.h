// Plans, rosters and descriptors for people: run.json, `ledger show` and the report. One way only: what counts are the
// canonical bytes (plan/run_plan.h), which the hashes cover.
#pragma once

#include "base/json.h"
#include "plan/round_descriptor.h"

namespace sotto {

Json to_json(const RunPlan& plan);
Json to_json(const Roster& roster);  // with fingerprints
Json to_json(const RoundDescriptor& descriptor);

}  // namespace sotto
