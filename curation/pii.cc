#include "curation/pii.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "base/config_reader.h"
#include "curation/name_lists.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::array<const char*, kPiiKinds> kNames = {
    "name", "date", "record_number", "phone", "email", "address", "url", "ip_address", "ssn", "card", "iban", "nhs_number"};

constexpr const char* kMonth =
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:"
    "ember)?|Dec(?:ember)?)";
constexpr const char* kWord = "\\p{Lu}[\\p{L}'\xe2\x80\x99-]+";

std::string digits_of(std::string_view text) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out), [](char c) { return c >= '0' && c <= '9'; });
  return out;
}

bool ip_valid(std::string_view text) {
  std::size_t parts = 0;
  for (std::size_t from = 0; from <= text.size(); ++parts) {
    const auto end = std::min(text.find('.', from), text.size());
    if (end - from > 3 || std::stoi(std::string(text.substr(from, end - from))) > 255) return false;
    from = end + 1;
  }
  return parts == 4;
}

bool date_valid(std::string_view text) {  // numbers that may be day, month and year
  std::vector<int> numbers;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find_first_not_of("0123456789", at), text.size());
    if (end > at) numbers.push_back(std::stoi(std::string(text.substr(at, end - at))));
    at = end + 1;
  }
  if (numbers.size() != 3) return false;
  const auto small = std::ranges::count_if(numbers, [](int n) { return n >= 1 && n <= 12; });
  const auto day = std::ranges::count_if(numbers, [](int n) { return n >= 1 && n <= 31; });
  return small >= 1 && day >= 2;
}

bool phone_valid(std::string_view text) {
  const auto digits = digits_of(text.substr(0, text.find_first_of("xe"))).size();  // an extension's are none of the number's
  return digits >= 7 && digits <= 15;
}

bool word_character(std::string_view text, std::size_t at) {
  return at < text.size() && u_isalnum(static_cast<UChar32>(data::next_code_point(text, at))) != 0;
}

bool word_before(std::string_view text, std::size_t at) {
  if (at == 0) return false;
  std::size_t begin = at - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return word_character(text, begin);
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return !(word_character(text, begin) && word_before(text, begin)) &&
         !(word_before(text, end) && word_character(text, end));
}

// Whether a number goes on across a dot, slash or dash: then what was found is a part of something longer.
bool inside_number(std::string_view text, std::size_t begin, std::size_t end) {
  const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  const auto mark = [&](std::size_t at) {
    return at < text.size() && (text[at] == '.' || text[at] == '/' || text[at] == '-');
  };
  return (begin > 1 && mark(begin - 1) && digit(begin - 2)) || (mark(end) && digit(end + 1));
}

}  // namespace

const char* name_of(PiiKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

Result<PiiKind> pii_kind(const std::string& name) {
  const auto* it = std::ranges::find(kNames, name, [](const char* n) { return std::string_view(n); });
  if (it != kNames.end()) return static_cast<PiiKind>(it - kNames.begin());
  std::string known;
  for (const char* n : kNames) known += (known.empty() ? "" : ", ") + std::string(n);
  return invalid("'" + name + "' is no kind of personal data; known are " + known);
}

bool luhn_valid(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() < 12 || digits.size() > 19) return false;
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int d = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) d = d > 4 ? 2 * d - 9 : 2 * d;
    sum += d;
  }
  return sum % 10 == 0;
}

bool iban_valid(std::string_view text) {
  std::string plain;
  for (const char c : text)
    if (c != ' ') plain += c;
  if (plain.size() < 15 || plain.size() > 34) return false;
  int rest = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[(i + 4) % plain.size()];
    if (c >= '0' && c <= '9')
      rest = (rest * 10 + (c - '0')) % 97;
    else if (c >= 'A' && c <= 'Z')
      rest = (rest * 100 + (c - 'A' + 10)) % 97;
    else
      return false;
  }
  return rest == 1;
}

bool nhs_valid(std::string_view text) {
  const std::string digits = digits_of(text);
  if (digits.size() != 10) return false;
  int sum = 0;
  for (std::size_t i = 0; i < 9; ++i) sum += static_cast<int>(10 - i) * (digits[i] - '0');
  const int check = (11 - sum % 11) % 11;
  return check != 10 && check == digits[9] - '0';
}

Result<PiiConfig> read_pii_config(const std::string& path) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  PiiConfig out;
  for (const auto& name : config.texts("kinds", std::vector<std::string>{})) {
    const auto kind = pii_kind(name);
    if (kind.ok())
      out.kinds.insert(*kind);
    else
      config.reject("kinds", kind.error().message);
  }
  out.names = config.texts("names", std::vector<std::string>{});
  out.keep = config.texts("keep", std::vector<std::string>{});
  SOTTO_TRY_VOID(config.finish());
  return out;
}

Result<void> PiiFinder::add(PiiKind kind, const std::string& pattern, bool (*valid)(std::string_view), bool behind_label) {
  if (!kinds_.empty() && !kinds_.contains(kind)) return {};
  SOTTO_TRY(auto regex, data::Regex::make(pattern));
  rules_.push_back({kind, std::move(regex), valid, behind_label});
  return {};
}

// In order of trust: what an earlier rule took, a later one leaves.
Result<PiiFinder> PiiFinder::make(const PiiConfig& config) {
  PiiFinder out;
  out.kinds_ = config.kinds;
  out.keep_.insert(config.keep.begin(), config.keep.end());
  for (const auto name : given_names()) out.given_.emplace(name);
  for (const auto name : surnames()) out.surnames_.emplace(name);
  out.given_.insert(config.names.begin(), config.names.end());
  out.surnames_.insert(config.names.begin(), config.names.end());
  const std::string month = kMonth;
  const std::string word = kWord;
  SOTTO_TRY_VOID(out.add(PiiKind::kEmail, "[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+"));
  SOTTO_TRY_VOID(out.add(PiiKind::kUrl, "(?i:https?://|www\\.)[^\\s<>\"]*[^\\s<>\".,;:)]"));
  SOTTO_TRY_VOID(out.add(PiiKind::kIban, "[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{1,4}){3,8}", iban_valid));
  SOTTO_TRY_VOID(out.add(PiiKind::kRecordNumber,
                         "(?i:MRN|medical record(?: number| no\\.?)?|record (?:number|no\\.?)|chart "
                         "(?:number|no\\.?)|patient (?:id|number|no\\.?)|"
                         "case (?:number|no\\.?)|accession(?: number)?)(?: is)?[:# ]{1,3}[A-Z]{0,4}-?[0-9][0-9A-Z-]{3,14}",
                         nullptr, true));
  SOTTO_TRY_VOID(out.add(PiiKind::kCard, "[0-9](?:[ -]?[0-9]){11,18}", luhn_valid));
  SOTTO_TRY_VOID(out.add(PiiKind::kNhsNumber, "[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}", nhs_valid));
  SOTTO_TRY_VOID(out.add(PiiKind::kSsn, "[0-9]{3}-[0-9]{2}-[0-9]{4}"));
  SOTTO_TRY_VOID(out.add(PiiKind::kIpAddress, "[0-9]{1,3}(?:\\.[0-9]{1,3}){3}", ip_valid));
  SOTTO_TRY_VOID(out.add(PiiKind::kDate, "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}([/.-])[0-9]{1,2}[/.-](?:[0-9]{4}|[0-9]{2})",
                         date_valid));
  SOTTO_TRY_VOID(out.add(
      PiiKind::kDate,
      month + "\\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4}|[0-9]{1,2}(?:st|nd|rd|th|\\.)? " + month + "\\.?,? [0-9]{4}"));
  SOTTO_TRY_VOID(out.add(PiiKind::kAddress,
                         "[0-9]{1,6} (?:" + word +
                             " ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|"
                             "Square|Sq|Terrace|Parkway|Circle|Crescent|Close|Highway|Trail|Row)\\.?(?:,? "
                             "(?:Apt|Suite|Unit|Apartment)\\.? [0-9A-Z]+)?"
                             "(?:,? " +
                             word + "(?: " + word + "){0,3},? [A-Z]{2} [0-9]{5}(?:-[0-9]{4})?)?"));
  SOTTO_TRY_VOID(out.add(PiiKind::kAddress,  // any street, when town, state and code follow; military mail
                         "[0-9]{1,6}(?: " + word + "){1,4}(?: (?:Apt|Suite|Unit|Apartment)\\.? [0-9A-Z]+)?, " + word +
                             "(?: " + word +
                             "){0,3},? [A-Z]{2} [0-9]{5}(?:-[0-9]{4})?|(?:PSC [0-9]+|Unit [0-9]+|US(?:NS|S|CGC|NV|NB) " +
                             word + ")(?:,? Box [0-9]+)?,? (?:FPO|APO|DPO),? A[AEP] [0-9]{5}"));
  SOTTO_TRY_VOID(out.add(
      PiiKind::kPhone,
      "\\+[0-9]{1,3}(?:[ .-]?\\(?[0-9]{1,4}\\)?){2,5}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?|[2-9][0-9]{2}[2-9][0-9]{6}|"
      "(?:1[ .-])?\\([0-9]{3}\\)[ .-]?[0-9]{3}[ .-][0-9]{4}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?|"
      "(?:0?01[ .-]|1[ .-])?[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?",
      phone_valid));
  SOTTO_TRY_VOID(out.add(
      PiiKind::kPhone, "(?i:phone|tel|telephone|call|fax|mobile|cell)(?: at| number)?[.:]? (?:[0-9(][0-9 ().-]{5,18}[0-9])",
      phone_valid, true));
  SOTTO_TRY(auto capitalized, data::Regex::make(word));
  out.words_.push_back(std::move(capitalized));
  return out;
}

void PiiFinder::find_rule(const Rule& rule, std::string_view text, std::vector<PiiSpan>& out) const {
  std::vector<data::Regex::Span> matches;
  rule.regex.find_all(text, matches);
  for (auto [begin, end] : matches) {
    if (rule.behind_label) {  // the value is the last run that begins with a digit, a parenthesis or the letters before digits
      const auto label =
          text.substr(begin, end - begin).find_last_of(":# ", text.substr(begin, end - begin).find_first_of("0123456789("));
      if (label != std::string_view::npos) begin += label + 1;
    }
    const std::string_view found = text.substr(begin, end - begin);
    if (found.front() >= '0' && found.front() <= '9' && inside_number(text, begin, end)) continue;
    if (!stands_alone(text, begin, end) || (rule.valid != nullptr && !rule.valid(found)) || keep_.contains(found)) continue;
    out.push_back({begin, end, rule.kind});
  }
}

// Runs of capitalized words on one line, with single spaces or an initial between, that a title or a name of the lists makes
// a name.
void PiiFinder::find_names(std::string_view text, std::vector<PiiSpan>& out) const {
  static constexpr std::array<std::string_view, 13> kTitles = {
      "Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Professor", "Doctor", "Herr", "Frau", "Sir", "Madam", "Nurse"};
  if (!kinds_.empty() && !kinds_.contains(PiiKind::kName)) return;
  std::vector<data::Regex::Span> words;
  words_.front().find_all(text, words);
  std::erase_if(words, [&](const auto& w) { return word_before(text, w.begin); });
  const auto word = [&](std::size_t i) {
    std::string_view w = text.substr(words[i].begin, words[i].end - words[i].begin);
    while (w.ends_with('-') || w.ends_with('\'')) w.remove_suffix(1);
    for (const std::string_view s : {"'s", "\xe2\x80\x99s"})
      if (w.ends_with(s)) w.remove_suffix(s.size());
    return w;
  };
  const auto joined = [&](std::size_t i) {  // words i and i + 1 are neighbours: a space, or an initial between
    const std::string_view between = text.substr(words[i].end, words[i + 1].begin - words[i].end);
    return between == " " || (between.size() == 4 && between[0] == ' ' && between[2] == '.' && between[3] == ' ' &&
                              between[1] >= 'A' && between[1] <= 'Z');
  };
  const auto title = [&](std::size_t i) { return std::ranges::find(kTitles, word(i)) != kTitles.end(); };
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::size_t first = i;
    if (title(i)) {
      if (i + 1 >= words.size()) break;
      const std::string_view between = text.substr(words[i].end, words[i + 1].begin - words[i].end);
      if (between != " " && between != ". ") continue;
      first = i + 1;
    } else if (!given_.contains(word(i)) || i + 1 >= words.size() || !joined(i)) {
      continue;  // a given name alone may be any word
    }
    std::size_t last = first;
    const std::size_t longest = first + 2;
    while (last + 1 < words.size() && last < longest && joined(last) &&
           word(last).size() == words[last].end - words[last].begin) {
      const bool likely = surnames_.contains(word(last + 1)) || given_.contains(word(last + 1)) ||
                          (last == first && !surnames_.contains(word(first)));
      if (!likely) break;
      ++last;
    }
    const std::size_t end = words[last].begin + word(last).size();
    if (!keep_.contains(text.substr(words[first].begin, end - words[first].begin)))
      out.push_back({words[first].begin, end, PiiKind::kName});
    i = last;
  }
}

std::vector<PiiSpan> PiiFinder::find(std::string_view text) const {
  std::vector<PiiSpan> all;
  for (const Rule& rule : rules_) find_rule(rule, text, all);
  find_names(text, all);
  std::vector<PiiSpan> out;  // earlier rules win
  for (const PiiSpan& span : all) {
    const bool free =
        std::ranges::none_of(out, [&](const PiiSpan& other) { return span.begin < other.end && other.begin < span.end; });
    if (free) out.push_back(span);
  }
  std::ranges::sort(out, {}, &PiiSpan::begin);
  return out;
}

}  // namespace sotto::curation
