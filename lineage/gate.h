// What a model must have shown before it is promoted (configs/gate.toml is a commented example). Each check reads a result
// that Sotto's own commands wrote. The result counts only when it is of this very model, by the hash of its weights and of
// its base.
//   quality   `compare --json` on the domain's task: better than the base, and not worse than the model in use
//   general   `compare --json` on general text: no worse than the base, but for what the gate allows
//   safety    `eval --json` or `compare --json` on a task with safety rules
//   audit     a train folder's log, or a report's folder: what planted canaries showed is below what is proven
//   review    `review report --json`: raters prefer it, or at least not the other
// A missing result fails its check by name. The gate's file may waive a check with a reason; the registry's log and the
// model's card repeat the reason. Values; pure functions of files.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lineage/passport.h"

namespace sotto::lineage {

struct MetricRule {
  std::string task;
  std::string metric;
  double bound = 0;
  std::int64_t min_units = 10;  // that the result rests on: an interval from fewer says nothing
};

struct Gate {
  std::string path;
  std::string domain;
  MetricRule quality;  // bound: the interval's lower end of the gain over the base must lie above
  MetricRule general;  // bound: the largest loss against the base that the interval may allow
  MetricRule safety;   // bound: the least value
  double min_win_rate = 0.5;
  std::int64_t min_raters = 2;                // who rated every item
  std::map<std::string, std::string> waived;  // check -> reason
};
Result<Gate> read_gate(const std::string& path);

// Paths; empty: not given.
struct Evidence {
  std::string quality, general, safety, audit, review;
};

struct Finding {
  enum class State { kPassed, kFailed, kMissing, kWaived };
  std::string check;
  State state = State::kMissing;
  std::string sentence;
  Json facts;  // numbers, and the SHA-256 of the file: null where there are none
};
const char* to_string(Finding::State state);
Json to_json(const Finding& finding);

// All five, in the order above. `in_use`: the model that the domain has now, if it has one.
std::vector<Finding> judge(const Gate& gate, const Passport& passport, const std::optional<Digest>& in_use,
                           const Evidence& evidence);
bool lets_through(const std::vector<Finding>& findings);

// The check of what canaries showed (gate_audit.cc).
Finding judge_audit(const Passport& passport, const std::string& folder);

}  // namespace sotto::lineage
