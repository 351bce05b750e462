// The log of what a site does alone, in its folder of results: `log`, signed with a key that follows from `run.key`, and
// `head.json`. 'sotto-audit ledger verify' reads it.
#pragma once

#include <string>

#include "audit/log/event_log.h"
#include "base/random.h"
#include "client/site/site_folder.h"

namespace sotto::client {

// run.key, made where there is none.
Result<RunKey> own_key(const std::string& folder, RandomSource& random);
// Writes the first entry. Its salt makes the log's id unique, because the book of patients tells logs apart by their ids.
Result<void> begin_own_log(audit::EventLog& log, const RunKey& key, RandomSource& random);
// Checks a log that exists already: refused unless `key` began it.
Result<void> check_own_key(const std::string& folder, const audit::EventLog& log, const RunKey& key);
Result<void> write_own_head(const std::string& folder, const audit::EventLog& log, const RunKey& key);

}  // namespace sotto::client
