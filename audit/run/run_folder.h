// The folder that `sotto-audit verify` takes: what the parties of one run publish. docs/ledger-format.md describes it.
//   run.json                                  plan and parties for people; must equal what the logs say
//   roster                                    encode(Roster)
//   coordinator/log                           the coordinator's event log
//   sites/NAME/log                            each site's event log
//   heads/coordinator.json, heads/NAME.json   each party's signed head over its whole log
//   report/report.json, report/report.html    the epsilon report: a function of all the above
//   adapter/adapter.bin                       the adapter after the last round (base/adapter.h); may be left out
// Reading trusts nothing and judges nothing: what is missing or damaged is kept for verify (verify.h) to name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "audit/ledger/spending.h"
#include "audit/log/signed_head.h"

namespace sotto::audit {

constexpr const char* kCoordinatorParty = "coordinator";

// Names of files inside a run folder, relative to it. `party` is a site's name or kCoordinatorParty.
std::string log_file(const std::string& party);
std::string head_file(const std::string& party);
constexpr const char* kReportJsonFile = "report/report.json";
constexpr const char* kAdapterFile = "adapter/adapter.bin";
constexpr const char* kReportHtmlFile = "report/report.html";

// An entry of a log that matters to the run.
struct LogEntry {
  std::uint64_t index = 0;
  Time time{};
  Event event;
};

// A party's log, read once from front to back: memory grows with what it says of this run (and with one hash an entry), whatever else
// stands in it.
struct PartyLog {
  std::string party;
  LogImage image;                          // the tree over the entries before any damage; no records
  std::vector<LogEntry> entries;           // of those: the first, those about the run, and heads that were seen
  std::uint64_t sealed = 0;                // sealed ones
  Spending spending;                       // of a site's log: what it adds up to, all runs, up to the first contradiction
  std::optional<LogDamage> contradiction;  // .. which is here
  std::optional<LogDamage> misplaced;      // the first entry that belongs in no log of such a party
  bool missing = false;                    // there is no such file
  std::optional<LogDamage> damage;  // the first entry that does not fit or does not decode; a missing file damages entry 0
  std::optional<SignedHead> head;
  std::string head_problem;  // why there is no head; empty when there is one

  std::uint64_t size() const { return image.tree.size(); }  // entries before any damage
  const LogEntry* at(std::uint64_t index) const;            // nullptr when it was not kept
  std::string file() const { return log_file(party); }
  // "sites/a/log, entry 7"
  std::string entry(std::uint64_t index) const { return file() + ", entry " + std::to_string(index); }
};

// What the coordinator's log says was run. Decoded, not yet checked.
struct RunFacts {
  RunPlan plan;
  Roster roster;
  Digest plan_hash{};
  Digest roster_hash{};
  std::uint64_t entry = 0;  // of the run_submitted
};

struct RunFolder {
  std::string path;
  RunId run;
  Bytes roster_bytes;             // of the file
  std::string run_json;           // of the file
  std::optional<RunFacts> facts;  // none when the coordinator's log has no readable run_submitted of the run
  PartyLog coordinator;
  std::vector<PartyLog> sites;  // in the order of the roster file; by name when that does not decode

  const PartyLog* find(const std::string& party) const;
};

// Fails only when there is nothing to judge: no folder, no run.json that names a run.
Result<RunFolder> read_run_folder(const std::string& path);

// The text of run.json: a function of plan and roster.
std::string run_json_text(const RunPlan& plan, const Roster& roster);
// Writes run.json and roster. Logs are copied into place, byte for byte, by whoever collects them.
Result<void> write_run_files(const std::string& path, const RunPlan& plan, const Roster& roster);
// The report's file as it lies there, limited in size and kind like every other file of the folder.
Result<std::string> read_report_file(const RunFolder& folder, const std::string& file);
// Writes heads/PARTY.json.
Result<void> write_head(const std::string& path, const SignedHead& head);

}  // namespace sotto::audit
