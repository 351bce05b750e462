#include "data/tokenizer/pattern.h"

namespace sotto::data {

Result<Matcher> Matcher::make(const Pattern& pattern) {
  if (pattern.text.empty()) return unsupported("an empty pattern to look for");
  if (!pattern.regex) return Matcher(pattern.text, std::nullopt);
  SOTTO_TRY(auto regex, Regex::make(pattern.text));
  return Matcher({}, std::move(regex));
}

void Matcher::find_all(std::string_view text, std::vector<Regex::Span>& out) const {
  if (regex_) return regex_->find_all(text, out);
  for (std::size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size()))
    out.push_back({at, at + literal_.size()});
}

}  // namespace sotto::data
