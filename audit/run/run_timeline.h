// What happened in a run, as the logs of its folder say, by round: the facts that the report prints. Entries are taken as
// they are; verify checks whether they fit together.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/ledger/ledger.h"
#include "audit/run/run_folder.h"

namespace sotto::audit {

struct RoundTimeline {
  std::uint32_t attempts = 0;
  std::vector<std::string> started;    // sites of U1 of the attempt that was opened
  std::vector<std::string> survivors;  // sites in the sum
  std::vector<std::string> missing;    // sites of the roster that are not in the sum
  bool has_result = false;
  bool is_void = false;
  std::string void_reason;
  Digest participants{};  // H(U3): who is in the sum
  Digest adapter{};       // after the round
};

struct SiteTimeline {
  std::string name;
  bool delivered = false;                 // its log is in the folder; without it nothing is known, so `run` has no guarantee
  std::map<RoundId, RoundSpend> rounds;   // of this run
  std::string budget;                     // that the run spent from
  std::vector<std::string> other_runs;    // other runs in this site's log that spent from the same budget
  Spent run;                              // this run alone
  Spent elsewhere;                        // from the same budget, towards other coordinators
  Spent all;                              // everything spent from the budget
  std::optional<BudgetBound> binding;     // with the limit of that time; none in logs that say nothing of it
  std::optional<AuditMeasured> measured;  // of the planted canaries
  std::vector<ProgramRan> programs;       // builds that took part for the site
  std::size_t sealed = 0;                 // entries that only the site can read
  std::size_t refused_runs = 0;
};

struct RunTimeline {
  std::map<RoundId, RoundTimeline> rounds;
  std::vector<SiteTimeline> sites;  // in roster order
  Digest first_adapter{};           // that round 0 started from; zero when no round was opened
  Digest last_adapter{};
  std::vector<ProgramRan> programs;  // builds that took part for the coordinator
  bool finished = false;
  Time started{};
  Time ended{};  // of the last entry about the run
};

// Requires folder.facts.
RunTimeline history_of(const RunFolder& folder);

}  // namespace sotto::audit
