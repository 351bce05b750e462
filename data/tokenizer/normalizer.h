// Normalizers: what happens to a piece of text before it is cut into words. ICU knows Unicode's forms and cases. Immutable;
// safe from several threads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/pattern.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

class NormalizerChain {
 public:
  // Refused: a regular expression that cannot be read.
  static Result<NormalizerChain> make(const std::vector<Normalizer>& steps);
  bool empty() const { return steps_.empty(); }
  // `text` is well-formed UTF-8, as is the result.
  std::string apply(std::string_view text) const;

 private:
  struct ReplaceStep {
    Matcher matcher;
    std::string content;
  };
  using Step = std::variant<UnicodeForm, Lowercase, Prepend, ReplaceStep>;
  std::vector<Step> steps_;
};

// `text` in one of Unicode's normal forms.
std::string unicode_form(std::string_view text, UnicodeForm form);
// Every match of `matcher` replaced.
std::string replace_all(std::string_view text, const Matcher& matcher, std::string_view content);

}  // namespace sotto::data
