#include "curation/pii/names.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "curation/pii/name_lists.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::array<std::string_view, 14> kTitles = {"mr",     "mrs",  "ms",   "miss", "dr",    "prof",  "professor",
                                                      "doctor", "herr", "frau", "sir",  "madam", "nurse", "mme"};
// A letter behind one of these is no initial: "hepatitis B. White cells".
constexpr std::array<std::string_view, 17> kBeforeLetters = {
    "hepatitis", "vitamin", "type", "grade", "group",   "class",  "stage",    "factor",   "phase",
    "ward",      "room",    "bed",  "unit",  "protein", "option", "appendix", "influenza"};

bool is_word_character(std::string_view text, std::size_t at) {
  if (at >= text.size()) return false;
  const auto c = static_cast<UChar32>(data::next_code_point(text, at));
  return u_isalnum(c) != 0;
}

std::size_t before(std::string_view text, std::size_t at) {
  --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

// A word's end without what is no part of the name.
std::size_t name_end(std::string_view text, std::size_t begin, std::size_t end) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view tail : {"'s", "\xe2\x80\x99s", "'S", "\xe2\x80\x99S", "'", "\xe2\x80\x99", "-"}) {
      if (end - begin <= tail.size() || !text.substr(begin, end - begin).ends_with(tail)) continue;
      end -= tail.size();
      again = true;
    }
  }
  return end;
}

enum class Gap : std::uint8_t { kOther, kSpace, kLine, kComma, kDot };

// What stands between two neighbouring words.
Gap gap_of(std::string_view between) {
  const auto blank = [](std::string_view s) {
    return s.find_first_not_of(" \t") == std::string_view::npos && s.size() <= 3;
  };
  if (!between.empty() && blank(between)) return Gap::kSpace;
  if (between.starts_with(".") && blank(between.substr(1))) return Gap::kDot;
  if (between.starts_with(",") && blank(between.substr(1))) return Gap::kComma;
  const auto line = between.find('\n');
  if (line == std::string_view::npos || between.size() > 8) return Gap::kOther;
  const bool rest = between.find_first_not_of(" \t\r\n") == std::string_view::npos &&
                    between.find('\n', line + 1) == std::string_view::npos;
  return rest ? Gap::kLine : Gap::kOther;
}

}  // namespace

std::string folded_name(std::string_view word) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* nfd = icu::Normalizer2::getNFDInstance(status);
  SOTTO_CHECK(U_SUCCESS(status));
  auto text = nfd->normalize(icu::UnicodeString::fromUTF8({word.data(), static_cast<std::int32_t>(word.size())}), status);
  SOTTO_CHECK(U_SUCCESS(status));
  icu::UnicodeString out;
  for (std::int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
    const UChar32 c = text.char32At(at);
    if (u_charType(c) != U_NON_SPACING_MARK) out.append(c == 0x2019 ? UChar32{'\''} : c);
  }
  std::string utf8;
  return out.foldCase().toUTF8String(utf8);
}

Result<NameFinder> NameFinder::make(const std::vector<std::string>& more) {
  SOTTO_TRY(auto word, data::Regex::make("\\p{Lu}[\\p{L}\\p{M}'\xe2\x80\x99-]*"));
  NameFinder out(std::move(word));
  for (const auto name : given_names()) out.given_.insert(folded_name(name));
  for (const auto name : surnames()) out.surnames_.insert(folded_name(name));
  for (const auto& name : more) {
    out.given_.insert(folded_name(name));
    out.surnames_.insert(folded_name(name));
  }
  return out;
}

bool NameFinder::is_given(std::string_view word) const { return given_.contains(folded_name(word)); }

bool NameFinder::is_surname(std::string_view word) const {
  const std::string folded = folded_name(word);
  if (surnames_.contains(folded)) return true;
  for (std::size_t at = 0; at < folded.size();) {
    const auto end = std::min(folded.find('-', at), folded.size());
    if (end - at < folded.size() && surnames_.contains(folded.substr(at, end - at))) return true;
    at = end + 1;
  }
  return false;
}

// The capitalized words of a text, and what the rules ask of them.
struct NameFinder::Words {
  struct Word {
    std::size_t begin, end;  // without a possessive s
    bool whole;              // nothing was left away at its end
    std::string folded;
    bool initial, capitals, given, surname, title;
  };
  std::string_view text;
  std::vector<Word> all;

  Words(const NameFinder& finder, std::string_view given_text) : text(given_text) {
    std::vector<data::Regex::Span> found;
    finder.word_.find_all(text, found);
    for (const auto& [begin, end] : found) {
      if (begin > 0 && is_word_character(text, before(text, begin))) continue;
      if (is_word_character(text, end)) continue;  // letters and digits go on: a code
      const std::size_t last = name_end(text, begin, end);
      const auto word = text.substr(begin, last - begin);
      Word one{begin, last, last == end, folded_name(word), false, false, false, false, false};
      std::size_t next = 0;
      data::next_code_point(word, next);
      one.initial = next == word.size();
      one.capitals = !one.initial && std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
      one.given = !one.initial && finder.given_.contains(one.folded);
      one.surname = !one.initial && finder.is_surname(word);
      one.title = std::ranges::find(kTitles, one.folded) != kTitles.end();
      all.push_back(std::move(one));
    }
  }
  std::size_t size() const { return all.size(); }
  const Word& operator[](std::size_t i) const { return all[i]; }
  Gap gap(std::size_t i) const {  // behind word i
    if (i + 1 >= all.size() || !all[i].whole) return Gap::kOther;
    return gap_of(text.substr(all[i].end, all[i + 1].begin - all[i].end));
  }
  bool known(std::size_t i) const { return all[i].given || all[i].surname; }
  // The first word behind initials that begin at i; i itself where there is none.
  std::size_t behind_initials(std::size_t i) const {
    while (i + 1 < size() && all[i].initial && (gap(i) == Gap::kDot || gap(i) == Gap::kSpace)) ++i;
    return i;
  }
  // The last word of a name whose first word is `first`; further ones follow with spaces, initials between.
  std::size_t last_of(std::size_t first) const {
    std::size_t last = first;
    for (int more = 0; more < 2 && last + 1 < size(); ++more) {
      const Gap here = gap(last);
      if (here != Gap::kSpace && here != Gap::kLine) break;
      const std::size_t next = behind_initials(last + 1);
      if (next >= size() || all[next].initial) break;
      const bool loose = last == first && !all[first].surname && !all[next].capitals && here == Gap::kSpace;
      const bool fits = here == Gap::kLine ? all[next].surname : known(next) || loose;
      if (!fits) break;
      last = next;
    }
    return last;
  }

  std::optional<std::size_t> behind_title(std::size_t i) const {
    if (!all[i].title || (gap(i) != Gap::kSpace && gap(i) != Gap::kDot)) return std::nullopt;
    const std::size_t first = behind_initials(i + 1);
    if (all[first].initial || all[first].title) return std::nullopt;
    // "MS" and "MR" in capitals are a disease and a scan.
    if (all[i].capitals && gap(i) == Gap::kSpace && !known(first)) return std::nullopt;
    return last_of(first);
  }
  std::optional<std::size_t> from_given(std::size_t i) const {
    if (!all[i].given) return std::nullopt;
    const std::size_t last = last_of(i);
    return last > i ? std::optional(last) : std::nullopt;
  }
  std::optional<std::size_t> from_surname(std::size_t i) const {  // "Smith, John" and "Smith, J."
    if (!all[i].surname || gap(i) != Gap::kComma) return std::nullopt;
    std::size_t last = i + 1;
    const bool dotted = all[last].initial && text.substr(all[last].end).starts_with(".");
    if (!all[last].given && !dotted) return std::nullopt;
    while (last + 1 < size() && all[last + 1].initial && (gap(last) == Gap::kSpace || gap(last) == Gap::kDot)) ++last;
    return last;
  }
  std::optional<std::size_t> from_initial(std::size_t i) const {  // "J. Smith", "J.R. Smith"
    if (!all[i].initial || gap(i) != Gap::kDot) return std::nullopt;
    const std::size_t first = behind_initials(i);
    if (all[first].initial || !all[first].surname || is_labelled(i)) return std::nullopt;
    return last_of(first);
  }
  bool is_labelled(std::size_t i) const {
    std::string_view head = text.substr(0, all[i].begin);
    while (head.ends_with(' ')) head.remove_suffix(1);
    const auto start = head.find_last_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    const std::string label = folded_name(head.substr(start == std::string_view::npos ? 0 : start + 1));
    return std::ranges::find(kBeforeLetters, label) != kBeforeLetters.end();
  }
};

std::vector<NameFinder::Span> NameFinder::find(std::string_view text) const {
  const Words words(*this, text);
  std::vector<Span> out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::size_t first = i;
    auto last = words.behind_title(i);
    if (last) first = i + 1;
    if (!last) last = words.from_surname(i);
    if (!last) last = words.from_given(i);
    if (!last) last = words.from_initial(i);
    if (!last) continue;
    out.push_back({words[first].begin, words[*last].end});
    i = *last;
  }
  return out;
}

}  // namespace sotto::curation
