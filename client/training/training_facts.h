// What a passport may say of a training: constants that were declared before it, and hashes. Pure functions.
#pragma once

#include "audit/log/log_reader.h"
#include "base/json.h"
#include "lineage/passport.h"
#include "plan/run_plan.h"

namespace sotto::client {

// {"fingerprint", "declared_units", "unit", "sampling_rate"}: nothing that follows from the true records but the keyed hash.
Json data_facts(const Digest& fingerprint, const SitePlan& site, privacy::Unit unit);
// {"id", "entries", "root"} of a log as it stands.
Json log_facts(const audit::LogImage& log);

}  // namespace sotto::client
