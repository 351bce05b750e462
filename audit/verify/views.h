// Compares what several sites were shown, for site operators who meet without the coordinator. Each log alone can be whole
// and honest although the coordinator showed their owners different histories; the heads and descriptors in the logs reveal
// it.
#pragma once

#include <string>
#include <vector>

#include "audit/verify/verify.h"

namespace sotto::audit {

// `paths` are logs, or folders with a `log` in them; at least two, of any kind: a coordinator's, a site's, of training alone, of
// a registry, a book of patients. Checks: each log is whole and its owner's; no two are one log with two histories, and no key
// signed two, by the logs themselves and by the heads in them and beside them (with a proof otherwise); the sites were shown
// the same descriptor in each attempt, and the same plan and roster of each run. Fails when a log cannot be read at all.
Result<Verdict> compare_views(const std::vector<std::string>& paths);

}  // namespace sotto::audit
