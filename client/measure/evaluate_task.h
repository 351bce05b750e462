// `sotto-client eval --task` and `sotto-client compare`: a model, or a base model and its adapters, on a task
// (evaluation/task.h). The items stay at the site; nothing is sent or charged. A published number about private items says
// something about them (docs/evaluation.md), so --federated takes only tasks that are declared to be outside the guarantee.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/text/model_options.h"

namespace sotto::client {

struct TaskCommand : ModelOptions {
  std::string task;                   // TASK.toml
  std::vector<std::string> adapters;  // PEFT folders; eval takes one at most
  std::string samples;                // a file to write the single answers to, JSON lines; empty: none
  std::string review;                 // compare: a folder for `review serve`, made here; empty: none
  std::int64_t limit = 0;             // only the first items; 0: all
  bool federated =
      false;  // signed sums for other eyes (site_evaluation.h), of a task whose items are outside the guarantee:
  std::string folder = "site";  // .. the site's folder, whose identity signs
  std::string local;            // .. what the site trained alone, beside the adapter of the run
  std::string out;              // .. where they go
  bool json = false;
};

Result<void> evaluate_task(const TaskCommand& command);
Result<void> compare_models(const TaskCommand& command);

}  // namespace sotto::client
