// Lists of phrases that people write into a configuration, looked for in a text: whole words, whatever the case; "re:"
// before one makes it a regular expression (data/text/regex.h). Immutable; safe from several threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/text/regex.h"

namespace sotto::curation {

class Phrases {
 public:
  // Refused: an empty phrase, a regular expression that cannot be read.
  static Result<Phrases> make(const std::vector<std::string>& list);
  bool empty() const { return phrases_.empty() && expressions_.empty(); }
  // `text` is well-formed UTF-8.
  bool found_in(std::string_view text) const;

 private:
  std::vector<std::string> phrases_;  // in lower case
  std::vector<data::Regex> expressions_;
};

// Lower case, character by character; bytes that are no UTF-8 become U+FFFD.
std::string lower_case(std::string_view text);

}  // namespace sotto::curation
