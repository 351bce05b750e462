// For task.cc alone: one line of a task's JSON lines becomes an Item.
#pragma once

#include "base/json.h"
#include "evaluation/task.h"

namespace sotto::evaluation {

struct ItemFormat {
  const Task* task = nullptr;
  std::string prompt;           // with {field} for the fields of the line
  std::vector<Term> preferred;  // wanted where the reference has them and the line names no terms of its own
  std::vector<Term> avoid;
  std::vector<SafetyRule> rules;  // all apply unless the line names some
};

Result<Item> read_item(const Json& line, const ItemFormat& format);

}  // namespace sotto::evaluation
