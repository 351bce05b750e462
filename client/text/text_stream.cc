#include "client/text/text_stream.h"

#include <algorithm>

namespace sotto::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD: what decoding makes of a character that is not whole

// Length of the longest end of `text` that begins `stop`.
std::size_t begun(std::string_view text, std::string_view stop) {
  for (std::size_t n = std::min(text.size(), stop.size()); n > 0; --n)
    if (text.ends_with(stop.substr(0, n))) return n;
  return 0;
}

}  // namespace

TextStream::TextStream(const data::Tokenizer& tokenizer, std::vector<std::string> stops)
    : tokenizer_(&tokenizer), stops_(std::move(stops)) {
  std::erase(stops_, "");
}

Result<std::string> TextStream::add(std::int32_t id) {
  if (stopped_) return std::string();
  ids_.push_back(id);
  SOTTO_TRY(decoded_, tokenizer_->decode(ids_, data::DecodeControl::kSkip));
  for (const auto& stop : stops_) {
    const auto at = decoded_.find(stop, shown_.size());
    if (at == std::string::npos) continue;
    stopped_ = true;
    decoded_.resize(at);
  }
  if (stopped_) return show(decoded_.size());
  std::string_view certain = decoded_;
  while (certain.ends_with(kReplacement)) certain.remove_suffix(kReplacement.size());
  std::size_t held = 0;
  for (const auto& stop : stops_) held = std::max(held, begun(certain, stop));
  return show(certain.size() - held);
}

std::string TextStream::finish() { return show(decoded_.size()); }

std::string TextStream::show(std::size_t end) {
  if (end <= shown_.size()) return {};
  std::string fresh = decoded_.substr(shown_.size(), end - shown_.size());
  shown_ += fresh;
  return fresh;
}

}  // namespace sotto::client
