#include "data/tokenizer/decoder.h"

#include <optional>

#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"

namespace sotto::data {
namespace {

constexpr std::string_view kReplacementCharacter = "\xef\xbf\xbd";

std::string joined(const std::vector<std::string>& tokens) {
  std::string out;
  for (const auto& token : tokens) out += token;
  return out;
}

// The byte of "<0xAB>".
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with(">")) return std::nullopt;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<char>(value);
}

std::vector<std::string> apply(const ByteFallback&, const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto end_run = [&] {
    if (bytes.empty()) return;
    if (is_utf8(bytes))
      out.push_back(bytes);
    else
      out.insert(out.end(), bytes.size(), std::string(kReplacementCharacter));
    bytes.clear();
  };
  for (const auto& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      bytes += *byte;
      continue;
    }
    end_run();
    out.push_back(token);
  }
  end_run();
  return out;
}

std::string stripped(std::string_view token, const Strip& strip) {
  for (std::size_t i = 0; i < strip.start && token.starts_with(strip.content); ++i)
    token.remove_prefix(strip.content.size());
  for (std::size_t i = 0; i < strip.stop && token.ends_with(strip.content); ++i) token.remove_suffix(strip.content.size());
  return std::string(token);
}

// The first token loses its marks, wherever they stand, unless the text was encoded without a prefix.
std::string spaced(std::string_view token, const Metaspace& step, bool first) {
  std::string out;
  while (!token.empty()) {
    if (token.starts_with(step.replacement)) {
      if (!first || step.prefix == PrefixScheme::kNever) out += ' ';
      token.remove_prefix(step.replacement.size());
    } else {
      out += token.front();
      token.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

Result<DecoderChain> DecoderChain::make(const std::vector<Decoder>& steps) {
  DecoderChain out;
  for (const auto& step : steps) {
    if (const auto* replace = std::get_if<Replace>(&step)) {
      SOTTO_TRY(auto matcher, Matcher::make(replace->pattern));
      out.steps_.emplace_back(ReplaceStep{std::move(matcher), replace->content});
      continue;
    }
    if (const auto* strip = std::get_if<Strip>(&step))
      if (strip->content.empty() || strip->content.size() != character_size(strip->content[0]))
        return unsupported("a decoder that strips '" + strip->content + "', which is not one character");
    std::visit(
        [&out](const auto& same) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(same)>, Replace>) out.steps_.emplace_back(same);
        },
        step);
  }
  return out;
}

std::string DecoderChain::apply(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) {
    if (const auto* replace = std::get_if<ReplaceStep>(&step)) {
      for (auto& token : tokens) token = replace_all(token, replace->matcher, replace->content);
    } else if (const auto* strip = std::get_if<Strip>(&step)) {
      for (auto& token : tokens) token = stripped(token, *strip);
    } else if (const auto* metaspace = std::get_if<Metaspace>(&step)) {
      for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = spaced(tokens[i], *metaspace, i == 0);
    } else if (const auto* fallback = std::get_if<ByteFallback>(&step)) {
      tokens = data::apply(*fallback, tokens);
    } else if (std::holds_alternative<ByteLevel>(step)) {
      for (auto& token : tokens) token = bytes_of_token(token);
      tokens = {utf8_lossy(joined(tokens))};
    } else {
      tokens = {joined(tokens)};
    }
  }
  return joined(tokens);
}

}  // namespace sotto::data
