// Regular expressions as the `tokenizers` library reads them (Oniguruma's Ruby syntax), matched by PCRE2. Only what both
// read alike is taken: literals, classes, \s \S \d \w, \p{L}-like general categories, alternation, groups, (?i:...),
// look-ahead, quantifiers; \s \d \w are spelled out, because the two libraries differ in them. Everything else is refused by
// its text. Immutable after making; safe from several threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto::data {

class Regex {
 public:
  static Result<Regex> make(const std::string& pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Span {
    std::size_t begin;
    std::size_t end;
  };
  // Appends the matches in `text`, left to right, not overlapping, none empty. `text` is well-formed UTF-8.
  void find_all(std::string_view text, std::vector<Span>& out) const;

 private:
  struct State;
  explicit Regex(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
