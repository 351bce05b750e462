// Compares what several sites were shown, for site operators who meet without the coordinator. Each log alone can be whole
// and honest although the coordinator showed their owners different histories; the heads and descriptors in the logs reveal
// it.
#pragma once

#include <string>
#include <vector>

#include "audit/verify/verify.h"

namespace sotto::audit {

// `paths` are logs, or folders with a `log` in them, of different parties; at least two. Checks: each log is whole and its
// owner's; no party signed two histories, by the heads in all logs (a proof otherwise); the sites were shown the same
// descriptor in each attempt, and the same plan and roster of each run. Fails when a log cannot be read at all.
Result<Verdict> compare_views(const std::vector<std::string>& paths);

}  // namespace sotto::audit
