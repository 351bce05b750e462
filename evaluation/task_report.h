// The results of a task, for one model or for several on the same items: values with bootstrap intervals, and for each pair
// of models the difference with its interval and p-value (paired permutation test; Holm's correction over the whole table).
// Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "evaluation/task.h"

namespace sotto::evaluation {

// One model's answers: records[i] and responses[i] belong to task.items[i].
struct Outcome {
  std::string model;    // "base", or the adapter's folder
  std::string weights;  // which adapter that was, in hexadecimal (lineage/weights.h); empty: the base
  std::vector<Measures> records;
  std::vector<std::string> responses;         // of a generate task; else empty
  std::vector<std::vector<double>> logprobs;  // of a choice task, one per choice; else empty
};

const char* to_string(TaskKind kind);  // "choice", "generate", "loss"
std::set<std::string> metrics_of(const std::vector<Outcome>& outcomes);
// One metric of one model, item by item, added up to units.
std::vector<Ratio> units_of(const Task& task, const Outcome& outcome, const std::string& metric);
// {"value", "low", "high"}, and exp of all three.
Json value_json(double value, const Interval& interval);
Json exp_json(double value, const Interval& interval);
Json difference_json(const Paired& paired, double p_holm);

// {"task", "domain", "kind", "items", "units", "confidence", "models": [{"model", "weights", "metrics": {name: {"value",
// "low", "high"}}}],
//  "differences": [{"from", "to", "metrics": {name: {"difference", "low", "high", "p", "p_holm"}}}]}
Json task_json(const Task& task, const std::vector<Outcome>& outcomes);
std::string task_text(
    const Json& report);  // tables for people, of what task_json made; "intervals" says how, where it is there
// Of one model: {"task", .., "model", "metrics": {..}}, without differences.
Json one_model_json(const Task& task, const Outcome& outcome);

}  // namespace sotto::evaluation
