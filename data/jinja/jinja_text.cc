#include "data/jinja/jinja_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "data/text/utf8.h"

namespace sotto::data::jinja {
namespace {

// Python's str.isspace: White_Space, and the four information separators.
bool is_python_space(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0 || (c >= 0x1c && c <= 0x1f);
}

struct Character {
  std::size_t begin;
  std::size_t end;
  char32_t code_point;
};

std::vector<Character> characters_of(std::string_view text) {
  std::vector<Character> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    out.push_back({begin, at, c});
  }
  return out;
}

constexpr std::size_t kMaxPieces = 10'000;                  // of a split
constexpr std::size_t kMaxReplaced = std::size_t{1} << 26;  // bytes

std::optional<Value> replaced(const MarkedText& text, std::string_view from, const MarkedText& to) {
  const std::string plain = text.text();
  MarkedText out;
  std::size_t at = 0;
  for (auto found = plain.find(from); found != std::string::npos; found = plain.find(from, at)) {
    out.append(text.substr(at, found - at));
    out.append(to);
    if (out.size() > kMaxReplaced) return std::nullopt;
    at = found + from.size();
  }
  out.append(text.substr(at, plain.size() - at));
  return Value{std::move(out)};
}

// Each part on its own: what was said by whom stays known.
MarkedText in_case(const MarkedText& text, bool upper) {
  MarkedText out;
  for (const auto& part : text.parts()) {
    auto changed = icu::UnicodeString::fromUTF8(part.text);
    if (upper)
      changed.toUpper(icu::Locale::getRoot());
    else
      changed.toLower(icu::Locale::getRoot());
    std::string utf8;
    out.append(MarkedText(changed.toUTF8String(utf8), part.source));
  }
  return out;
}

std::optional<Value> split(const MarkedText& text, std::string_view separator) {
  const std::string plain = text.text();
  List out;
  std::size_t at = 0;
  for (auto found = plain.find(separator); found != std::string::npos; found = plain.find(separator, at)) {
    if (out.size() >= kMaxPieces) return std::nullopt;
    out.push_back({text.substr(at, found - at)});
    at = found + separator.size();
  }
  out.push_back({text.substr(at, plain.size() - at)});
  return Value{std::move(out)};
}

}  // namespace

MarkedText stripped(const MarkedText& text, bool left, bool right, std::optional<std::string_view> set) {
  const std::string plain = text.text();
  const auto characters = characters_of(plain);
  std::vector<char32_t> listed;
  if (set)
    for (const auto& c : characters_of(*set)) listed.push_back(c.code_point);
  const auto goes = [&](const Character& c) {
    return set ? std::ranges::find(listed, c.code_point) != listed.end() : is_python_space(c.code_point);
  };
  std::size_t first = 0;
  std::size_t last = characters.size();
  while (left && first < last && goes(characters[first])) ++first;
  while (right && last > first && goes(characters[last - 1])) --last;
  if (first == last) return text.substr(0, 0);
  const std::size_t begin = characters[first].begin;
  return text.substr(begin, characters[last - 1].end - begin);
}

std::optional<MarkedText> sliced(const MarkedText& text, const Bounds& bounds) {
  if (bounds.step.value_or(1) != 1) return std::nullopt;
  const std::string plain = text.text();
  const auto all = characters_of(plain);
  const auto size = static_cast<std::int64_t>(all.size());
  const auto place = [&](std::optional<std::int64_t> bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    return std::clamp(*bound < 0 ? *bound + size : *bound, std::int64_t{0}, size);
  };
  const std::int64_t start = place(bounds.start, 0), stop = place(bounds.stop, size);
  if (start >= stop) return text.substr(0, 0);
  const std::size_t begin = all[static_cast<std::size_t>(start)].begin;
  return text.substr(begin, all[static_cast<std::size_t>(stop - 1)].end - begin);
}

std::optional<Value> text_method(const MarkedText& text, std::string_view name, const List& arguments) {
  std::vector<const MarkedText*> texts;
  for (const auto& argument : arguments) {
    if (argument.as<MarkedText>() == nullptr) return std::nullopt;
    texts.push_back(argument.as<MarkedText>());
  }
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    if (texts.size() > 1) return std::nullopt;
    const std::string set = texts.empty() ? "" : texts[0]->text();
    return Value{
        stripped(text, name != "rstrip", name != "lstrip", texts.empty() ? std::optional<std::string_view>() : set)};
  }
  if ((name == "startswith" || name == "endswith") && texts.size() == 1) {
    const std::string plain = text.text();
    const std::string end = texts[0]->text();
    return Value{name == "startswith" ? plain.starts_with(end) : plain.ends_with(end)};
  }
  if ((name == "upper" || name == "lower") && texts.empty()) return Value{in_case(text, name == "upper")};
  if (name == "split" && texts.size() == 1 && !texts[0]->empty()) return split(text, texts[0]->text());
  if (name == "replace" && texts.size() == 2 && !texts[0]->empty()) return replaced(text, texts[0]->text(), *texts[1]);
  return std::nullopt;
}

}  // namespace sotto::data::jinja
