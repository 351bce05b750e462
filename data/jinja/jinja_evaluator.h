// Runs a parsed template: statements and expressions. Private to jinja*.cc. Steps, depth and size are bounded.
#pragma once

#include <optional>

#include "base/result.h"
#include "data/jinja/jinja.h"
#include "data/jinja/jinja_ast.h"
#include "data/jinja/jinja_value.h"

namespace sotto::data::jinja {

struct Limits {
  std::size_t steps;
  std::size_t bytes;  // of all texts that are built or put out
};

// Errors begin with the line. kRefused: the template itself refuses what it was given. `today`: what strftime_now() tells;
// none: the template finds no such function.
Result<MarkedText> evaluate(const Node& root, Members globals, const Limits& limits, const std::optional<Date>& today);

}  // namespace sotto::data::jinja
