// The folder that `sotto-audit verify` takes: what the parties of one run publish. docs/ledger-format.md describes it.
//   run.json             plan and parties for people; must equal what the logs say
//   roster               encode(Roster)
//   coordinator/log      the coordinator's event log
//   sites/NAME/log       each site's event log
//   heads/coordinator.json, heads/NAME.json   each party's signed head over its whole log
//   report/report.json, report/report.html    the epsilon report: a function of all the above
// Everything is a plain value; nothing is trusted by reading it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "audit/signed_head.h"

namespace sotto::audit {

constexpr const char* kCoordinatorParty = "coordinator";

// Names of files inside a run folder, relative to it.
std::string log_file(const std::string& party);
std::string head_file(const std::string& party);

struct PartyLog {
  std::string party;                   // a site's name, or kCoordinatorParty
  ParsedLog log;                       // damage included: verify names it
  std::vector<Event> events;           // decoded records, as far as they decode
  std::optional<LogDamage> undecoded;  // the first record that does not decode
  std::optional<SignedHead> head;
  std::string head_problem;  // why there is no head; empty when there is one
};

struct RunFolder {
  std::string path;
  RunId run;
  RunPlan plan;   // of the coordinator's run_submitted
  Roster roster;  // of the coordinator's run_submitted
  Bytes plan_bytes;
  Bytes roster_bytes;
  PartyLog coordinator;
  std::vector<PartyLog> sites;  // in roster order; a site whose log is missing has an empty one
};

// Fails only when the folder cannot be understood at all: no run.json, no coordinator log, no such run in it.
Result<RunFolder> read_run_folder(const std::string& path);

// run.json of a run: a function of plan, roster and model hash.
Json run_json(const RunPlan& plan, const Roster& roster);
// Writes run.json and roster; the parties' logs and heads are copied beside them by whoever collects them.
Result<void> write_run_files(const std::string& path, const RunPlan& plan, const Roster& roster);
// heads/PARTY.json
Result<void> write_head(const std::string& path, const SignedHead& head);

}  // namespace sotto::audit
