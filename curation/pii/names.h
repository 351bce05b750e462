// Names of people in a text, by word lists and by what stands around a word: "Dr. Smith", "John Smith", "JOHN SMITH",
// "Smith, John", "J. Smith", with or without accents, over the end of a line. A given name or a surname alone stays: most are
// words, too. Immutable; safe from several threads.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/text/regex.h"

namespace sotto::curation {

class NameFinder {
 public:
  // `more`: given names and surnames that the built-in lists lack.
  static Result<NameFinder> make(const std::vector<std::string>& more);

  struct Span {
    std::size_t begin;
    std::size_t end;
  };
  // In order, not overlapping; in bytes. `text` is well-formed UTF-8.
  std::vector<Span> find(std::string_view text) const;
  bool is_given(std::string_view word) const;
  bool is_surname(std::string_view word) const;  // a double name is one if a part is

 private:
  struct Words;
  explicit NameFinder(data::Regex word) : word_(std::move(word)) {}
  data::Regex word_;                // a capitalized word
  std::set<std::string> given_;     // folded
  std::set<std::string> surnames_;  // folded
};

// Without case and accents, as the lists are compared: "GARCÍA" and "garcia" are one.
std::string folded_name(std::string_view word);

}  // namespace sotto::curation
