#include "curation/phrases.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

bool word_at(std::string_view text, std::size_t at) {
  return at < text.size() && u_isalnum(static_cast<UChar32>(data::next_code_point(text, at))) != 0;
}

bool word_before(std::string_view text, std::size_t at) {
  if (at == 0) return false;
  std::size_t begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return word_at(text, begin);
}

// Not in the middle of a word, where the phrase itself begins or ends with one.
bool whole_words(std::string_view text, std::size_t begin, std::size_t end) {
  return !(word_at(text, begin) && word_before(text, begin)) && !(word_before(text, end) && word_at(text, end));
}

}  // namespace

std::string lower_case(std::string_view text) {
  const std::string clean = data::utf8_lossy(text);
  std::string out;
  for (std::size_t at = 0; at < clean.size();)
    data::append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(data::next_code_point(clean, at)))));
  return out;
}

Result<Phrases> Phrases::make(const std::vector<std::string>& list) {
  Phrases out;
  for (const auto& phrase : list) {
    if (phrase.empty()) return invalid("an empty phrase");
    if (!phrase.starts_with("re:")) {
      out.phrases_.push_back(lower_case(phrase));
      continue;
    }
    SOTTO_TRY(auto expression, data::Regex::make(phrase.substr(3)));
    out.expressions_.push_back(std::move(expression));
  }
  return out;
}

bool Phrases::found_in(std::string_view text) const {
  std::vector<data::Regex::Span> matches;
  for (const auto& expression : expressions_) {
    expression.find_all(text, matches);
    if (!matches.empty()) return true;
  }
  if (phrases_.empty()) return false;
  const std::string lower = lower_case(text);
  return std::ranges::any_of(phrases_, [&](const std::string& phrase) {
    for (auto at = lower.find(phrase); at != std::string::npos; at = lower.find(phrase, at + 1))
      if (whole_words(lower, at, at + phrase.size())) return true;
    return false;
  });
}

}  // namespace sotto::curation
