// The index's rows of a run: a function of its history, its files and, for the active one, the round in progress.
#pragma once

#include "coordinator/runs/active_run.h"
#include "store/run_index.h"

namespace sotto::coordinator {

store::RunRow run_row(const RunHistory& run, const RunProgress& progress, const std::vector<std::string>& unapproved,
                      const std::string& refusal, const Round* round);
std::vector<store::RoundRow> round_rows(const RunHistory& run);
std::string names_of(const Roster& roster, const std::vector<SiteIndex>& sites);  // separated by spaces

}  // namespace sotto::coordinator
