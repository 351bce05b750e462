#include "data/tokenizer/added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "data/text/utf8.h"

namespace sotto::data {
namespace {

bool is_space(char32_t c) { return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0; }

// \w of Unicode's technical standard 18: Alphabetic, marks, decimal digits, connectors, joiners.
bool is_word(char32_t c) {
  const auto u = static_cast<UChar32>(c);
  return u_hasBinaryProperty(u, UCHAR_ALPHABETIC) != 0 || u_hasBinaryProperty(u, UCHAR_JOIN_CONTROL) != 0 ||
         ((U_GET_GC_MASK(u) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0);
}

// Where the last character of `text` begins; `text` is not empty.
std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<std::uint8_t>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  std::size_t at = last_character(text);
  return is_word(next_code_point(text, at));
}

bool starts_with_word(std::string_view text) {
  std::size_t at = 0;
  return !text.empty() && is_word(next_code_point(text, at));
}

std::size_t spaces_at_end(std::string_view text) {
  const std::size_t whole = text.size();
  while (!text.empty()) {
    const std::size_t begin = last_character(text);
    std::size_t at = begin;
    if (!is_space(next_code_point(text, at))) break;
    text = text.substr(0, begin);
  }
  return whole - text.size();
}

std::size_t spaces_at_start(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size(); end = at)
    if (!is_space(next_code_point(text, at))) break;
  return end;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::ranges::stable_sort(entries_, [](const Entry& a, const Entry& b) {
    const auto first = [](const Entry& e) { return static_cast<std::uint8_t>(e.text[0]); };
    return first(a) != first(b) ? first(a) < first(b) : a.text.size() > b.text.size();
  });
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    auto& [begin, end] = by_first_byte_[static_cast<std::uint8_t>(entries_[i].text[0])];
    if (end == 0) begin = i;
    end = i + 1;
  }
}

const AddedTokens::Entry* AddedTokens::match_at(std::string_view text, std::size_t at) const {
  const auto [begin, end] = by_first_byte_[static_cast<std::uint8_t>(text[at])];
  for (std::size_t i = begin; i < end; ++i)
    if (text.substr(at).starts_with(entries_[i].text)) return &entries_[i];
  return nullptr;
}

void AddedTokens::split(std::string_view text, ControlTokens control, std::vector<Piece>& out) const {
  std::size_t from = 0;  // what was not put out yet
  for (std::size_t at = 0; at < text.size() && !entries_.empty();) {
    const Entry* found = match_at(text, at);
    if (found == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at + found->text.size();
    at = end;
    const AddedToken& token = found->token;
    if (token.special && control == ControlTokens::kAsPlainText) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token.lstrip) begin = std::max(begin - spaces_at_end(text.substr(0, begin)), from);
    if (token.rstrip) end += spaces_at_start(text.substr(end));
    if (begin > from) out.push_back({text.substr(from, begin - from), nullptr});
    out.push_back({text.substr(begin, end - begin), &token});
    from = end;
  }
  if (from < text.size()) out.push_back({text.substr(from), nullptr});
}

}  // namespace sotto::data
