// The epsilon report of a run: a pure function of the run folder's logs and heads, so that whoever has them gets the same
// bytes and `sotto-audit verify` can compare. JSON for programs, one self-contained HTML page for people (its first page in
// plain words). Epsilons are recomputed from the events in the sites' logs and rounded up to four decimals.
#pragma once

#include <string>

#include "audit/run/run_folder.h"

namespace sotto::audit {

// Fails when the coordinator's log does not say what was run, or when a log is damaged (verify names the entry).
Result<Json> make_report(const RunFolder& folder);

// The bytes of report/report.json.
std::string report_json_text(const Json& report);
// The bytes of report/report.html: everything on it comes from `report`; no script, no outside resource.
std::string report_html_text(const Json& report);

// Makes both and writes them into the folder.
Result<void> write_report(const RunFolder& folder);

}  // namespace sotto::audit
