#include "curation/record_checks.h"

#include <cld2/public/compact_lang_det.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "data/text/regex.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

struct FlawInfo {
  Flaw flaw;
  const char* name;
  double weight;  // what it takes off the score
};
constexpr std::array<FlawInfo, kFlaws> kInfo = {{{Flaw::kReplacementCharacters, "replacement characters", 0.5},
                                                 {Flaw::kMojibake, "mojibake", 0.4},
                                                 {Flaw::kControlCharacters, "control characters", 0.3},
                                                 {Flaw::kMarkup, "markup", 0.2},
                                                 {Flaw::kEmptyAnswer, "empty answer", 1.0},
                                                 {Flaw::kEcho, "answer repeats the question", 0.6},
                                                 {Flaw::kPlaceholder, "placeholder", 0.6},
                                                 {Flaw::kRepetition, "repetition", 0.4},
                                                 {Flaw::kTooLong, "too long", 0.2},
                                                 {Flaw::kOtherLanguage, "other language", 0.3},
                                                 {Flaw::kNoCaution, "no caution", 0.4}}};

constexpr std::uint32_t bit(Flaw flaw) { return static_cast<std::uint32_t>(flaw); }

// Lead bytes of two- and three-byte UTF-8 (C2, C3, E2) and what follows them, as Windows-1252 shows them.
const data::Regex& mojibake() {
  static const data::Regex kRegex =
      data::Regex::make(
          "[\\x{c2}\\x{c3}][\\x{80}-\\x{bf}\\x{152}\\x{153}\\x{160}\\x{161}\\x{178}\\x{17d}\\x{17e}\\x{192}\\x{2c6}\\x{2dc}"
          "\\x{2013}-\\x{203a}\\x{20ac}\\x{2122}]"
          "|\\x{e2}\\x{20ac}[\\x{80}-\\x{bf}\\x{152}\\x{153}\\x{2c6}\\x{2dc}\\x{2013}-\\x{203a}\\x{20ac}\\x{2122}]")
          .value();
  return kRegex;
}

const data::Regex& markup() {
  static const data::Regex kRegex = data::Regex::make(
                                        "(?i:&(?:amp|lt|gt|quot|nbsp|#\\d{1,6}|#x[0-9a-f]{1,6});|</"
                                        "?(?:p|br|div|span|b|i|ul|li|td|tr|table|a)(?: [^<>]*)?/?>)")
                                        .value();
  return kRegex;
}

const data::Regex& placeholder() {
  static const data::Regex kRegex =
      data::Regex::make("TODO|FIXME|(?i:lorem ipsum|\\[(?:insert|your|name|placeholder)[^\\]]*\\])|XXXX+").value();
  return kRegex;
}

bool matches(const data::Regex& regex, std::string_view text) {
  std::vector<data::Regex::Span> found;
  regex.find_all(text, found);
  return !found.empty();
}

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

// Four or more equal sentences or lines of some length that make up more than half of the text.
bool repeats(std::string_view text) {
  std::map<std::string_view, std::size_t> parts;
  for (std::size_t from = text.find_first_not_of(' '); from < text.size();) {
    const std::size_t end = std::min(text.find_first_of(".\n!?", from), text.size());
    if (end - from >= 8) ++parts[text.substr(from, end - from)];
    from = end < text.size() ? text.find_first_not_of(' ', end + 1) : end;
  }
  return std::ranges::any_of(
      parts, [&](const auto& part) { return part.second >= 4 && 2 * part.second * part.first.size() > text.size(); });
}

}  // namespace

const char* name_of(Flaw flaw) { return std::ranges::find(kInfo, flaw, &FlawInfo::flaw)->name; }
bool is_damage(Flaw flaw) { return bit(flaw) <= bit(Flaw::kControlCharacters); }

std::vector<std::string> Notes::names() const {
  std::vector<std::string> out;
  for (const auto& info : kInfo)
    if (has(info.flaw)) out.emplace_back(info.name);
  return out;
}

std::string question_of(const data::Record& record) {
  std::string out;
  for (std::size_t i = 0; i + 1 < record.messages.size(); ++i) {
    if (record.messages[i].role == "system") continue;
    if (!out.empty()) out += '\n';
    out += record.messages[i].content;
  }
  return out;
}

const std::string& answer_of(const data::Record& record) { return record.messages.back().content; }

std::uint32_t text_flaws(std::string_view text) {
  std::uint32_t out = 0;
  if (text.find("\xef\xbf\xbd") != std::string_view::npos) out |= bit(Flaw::kReplacementCharacters);
  if (matches(mojibake(), text)) out |= bit(Flaw::kMojibake);
  const auto control = [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  };
  if (std::ranges::any_of(text, control)) out |= bit(Flaw::kControlCharacters);
  if (matches(markup(), text)) out |= bit(Flaw::kMarkup);
  if (matches(placeholder(), text)) out |= bit(Flaw::kPlaceholder);
  if (repeats(text)) out |= bit(Flaw::kRepetition);
  return out;
}

std::string language_of(std::string_view text) {
  if (text.size() < 20 || text.size() > (std::size_t{1} << 30)) return {};
  bool reliable = false;
  const CLD2::Language language = CLD2::DetectLanguage(text.data(), static_cast<int>(text.size()), true, &reliable);
  if (!reliable || language == CLD2::UNKNOWN_LANGUAGE) return {};
  return CLD2::LanguageCode(language);
}

Notes check_record(const data::Record& record, std::size_t tokens, const CheckConfig& config) {
  Notes out;
  const std::string question = question_of(record);
  const std::string& answer = answer_of(record);
  out.flaws = text_flaws(question) | text_flaws(answer);
  if (trimmed(answer).empty())
    out.flaws |= bit(Flaw::kEmptyAnswer);
  else if (trimmed(answer) == trimmed(question))
    out.flaws |= bit(Flaw::kEcho);
  if (config.max_tokens > 0 && tokens > config.max_tokens) out.flaws |= bit(Flaw::kTooLong);
  out.language = language_of(question + "\n" + answer);
  if (!config.languages.empty() && !out.language.empty() &&
      std::ranges::find(config.languages, out.language) == config.languages.end())
    out.flaws |= bit(Flaw::kOtherLanguage);
  if (config.stakes.found_in(question) && !config.caution.found_in(answer)) out.flaws |= bit(Flaw::kNoCaution);
  for (const auto& info : kInfo)
    if (out.has(info.flaw)) out.score -= info.weight;
  out.score = std::max(out.score, 0.0);
  return out;
}

}  // namespace sotto::curation
