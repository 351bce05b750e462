// An adapter's passport: what it was made from, how, and at what cost in privacy. It is JSON in the metadata of the
// adapter's own safetensors file (key kPassportKey), which other programs ignore, and in the log of the registry of models.
//   {"format": "sotto/passport/1", "model", "adapter", "base": digests, "parent": digest or null, "domain", "run",
//    "trained": "alone" | "federated", "precision", "rounds", "steps", "privacy": {"unit", "epsilon", "delta", ..},
//    "data": {"fingerprint", "declared_units", ..}, "recipe": what shaped it besides the plan, "hyper_parameters": the plan
//    for people, "plan": its canonical bytes, "log": {"id", "entries", "root"}, "evaluations": [..], "approvals": [..]}
// "model" is the hash of the weights (weights.h), by which all commands name a model; "adapter" is that of
// encode(AdapterState), by which run logs do. The last two members are empty until the model is promoted. Values; pure
// functions.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "plan/run_plan.h"

namespace sotto::lineage {

constexpr const char* kPassportKey = "sotto.passport";

struct Passport {
  Digest model{};
  Digest adapter{};
  Digest base{};
  std::optional<Digest> parent;  // the model that its training started from
  std::string domain;            // empty: not named
  std::string run;
  RunPlan plan;
  Json json;  // all of it

  std::string id() const { return to_hex(model); }
  std::string short_id() const { return id().substr(0, 12); }
};

// Checks everything: members, types, digests, that the plan decodes, and that it is of that run and base. `origin` starts
// every error message.
Result<Passport> parse_passport(const std::string& text, const std::string& origin);

// What a finished run says of itself.
struct RunFacts {
  const AdapterState* adapter;
  const RunPlan* plan;  // of the run, complete
  std::optional<Digest> parent = std::nullopt;
  std::string domain = "";
  bool federated = false;
  std::string precision = "";            // "fp32" or "bf16"
  std::uint64_t steps = 0;               // that the adapter has seen of its own run
  double epsilon = 0;                    // of the run at the plan's delta; infinite: no guarantee
  double epsilon_with_earlier_runs = 0;  // of all that was spent from the same budget, this run included
  // What the two compare (audit::relation_text); empty: one unit more or less.
  std::string neighbours = "";
  std::string neighbours_with_earlier_runs = "";
  Json data = {};    // what may be told: no count that follows from a private record
  Json log = {};     // {"id", "entries", "root"} of the log that says so
  Json recipe = {};  // of one site alone: what shaped the training besides the plan; null in a federated run
};
Json make_passport(const RunFacts& facts);

}  // namespace sotto::lineage
