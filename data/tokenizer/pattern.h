// A Pattern made ready for looking: a plain string, or a regular expression. Immutable; safe from several threads.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/regex.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

class Matcher {
 public:
  // Refused: a regular expression that cannot be read, an empty string.
  static Result<Matcher> make(const Pattern& pattern);
  // Appends the matches in `text` from left to right; none is empty, none overlap.
  void find_all(std::string_view text, std::vector<Regex::Span>& out) const;

 private:
  Matcher(std::string literal, std::optional<Regex> regex) : literal_(std::move(literal)), regex_(std::move(regex)) {}
  std::string literal_;
  std::optional<Regex> regex_;
};

}  // namespace sotto::data
