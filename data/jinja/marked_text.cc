#include "data/jinja/marked_text.h"

#include <algorithm>

namespace sotto::data {

MarkedText::MarkedText(std::string_view text, std::int32_t source) { append(text, source); }

void MarkedText::append(std::string_view text, std::int32_t source) {
  if (text.empty() && source < 0) return;
  if (!parts_.empty() && parts_.back().source == source)
    parts_.back().text += text;
  else
    parts_.push_back({std::string(text), source});
}

std::size_t MarkedText::size() const {
  std::size_t out = 0;
  for (const auto& part : parts_) out += part.text.size();
  return out;
}

std::string MarkedText::text() const {
  std::string out;
  for (const auto& part : parts_) out += part.text;
  return out;
}

void MarkedText::append(const MarkedText& other) {
  for (const auto& part : other.parts_) append(part.text, part.source);
}

MarkedText MarkedText::substr(std::size_t begin, std::size_t count) const {
  MarkedText out;
  for (const auto& part : parts_) {
    const std::size_t from = std::min(begin, part.text.size());
    const std::string_view some = std::string_view(part.text).substr(from, count);
    if (!some.empty()) out.append(some, part.source);
    begin -= from;
    count -= some.size();
  }
  if (out.parts_.empty() && !parts_.empty()) out.append({}, parts_.front().source);
  return out;
}

}  // namespace sotto::data
