#include "curation/pii/pii.h"

#include <arpa/inet.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <array>

#include "base/config_reader.h"
#include "curation/pii/phones.h"
#include "curation/pii/plain_text.h"
#include "curation/pii/surrogate_dates.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::array<const char*, kPiiKinds> kNames = {"name",    "date",       "record_number", "phone", "email",
                                                       "address", "url",        "ip_address",    "ssn",   "card",
                                                       "iban",    "nhs_number", "other"};

constexpr const char* kMonth =
    "(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:"
    "ember)?|Dec(?:ember)?|JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?|SEP(?:T(?:EMBER)?)?|"
    "OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?|jan(?:uary)?|feb(?:ruary)?|march|apr(?:il)?|june?|july?|aug(?:ust)?|"
    "sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";
constexpr const char* kTime =
    "(?:(?:[T ]| at )[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?";
// Numbers behind these are no dates, addresses or telephone numbers.
constexpr std::array<std::string_view, 34> kLabels = {
    "apgar",     "apgars",  "score",   "scores",    "scored",   "section", "sections", "sec",   "version",
    "v",         "chapter", "clause",  "item",      "items",    "figure",  "fig",      "table", "rule",
    "paragraph", "step",    "release", "gcs",       "ratio",    "ratios",  "strength", "power", "reflexes",
    "grades",    "grade",   "stage",   "guideline", "appendix", "dose",    "doses"};
constexpr const char* kWord = "\\p{Lu}[\\p{L}'\xe2\x80\x99-]+";

std::string digits_of(std::string_view text) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out), [](char c) { return c >= '0' && c <= '9'; });
  return out;
}

// Four single digits are a section or a version far more often than an address, and the few such addresses are servers.
bool ip_valid(std::string_view text) {
  in_addr address{};
  if (text.size() == 7) return false;
  return ::inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool ip6_valid(std::string_view text) {
  in6_addr address{};
  return text.size() > 2 && ::inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

bool date_valid(std::string_view text) { return moved_date(text, 0).has_value(); }

// 1900 to 2099; 20240105.
bool compact_date_valid(std::string_view text) {
  return (text.starts_with("19") || text.starts_with("20")) && date_valid(text);
}

bool phone_valid(std::string_view text) {
  const auto digits = digits_of(text.substr(0, text.find_first_of("xe"))).size();  // an extension's are none of the number's
  return digits >= 7 && digits <= 15;
}

bool trunk_valid(std::string_view text) {
  const auto digits = digits_of(text).size();
  return digits >= 9 && digits <= 12;
}

// Never issued: areas 000, 666 and 900 to 999, group 00, serial 0000.
bool ssn_valid(std::string_view text) {
  const std::string d = digits_of(text);
  return d.size() == 9 && d[0] != '9' && !d.starts_with("000") && !d.starts_with("666") && d.substr(3, 2) != "00" &&
         d.substr(5) != "0000";
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

// The word before a number, in lower case, when nothing but spaces, a colon or an opening bracket stands between.
bool behind_label_word(std::string_view text, std::size_t begin) {
  std::string_view head = text.substr(0, begin);
  while (!head.empty() && (head.back() == ' ' || head.back() == ':' || head.back() == '(' || head.back() == '='))
    head.remove_suffix(1);
  for (const std::string_view word : {" of", " was", " were", " is"})
    if (head.ends_with(word)) head.remove_suffix(word.size());
  const auto start = head.find_last_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
  const std::string label = folded_name(head.substr(start == std::string_view::npos ? 0 : start + 1));
  return std::ranges::find(kLabels, label) != kLabels.end();
}

bool is_short_number_list(std::string_view text) {  // 8/9/10, 4.1.2.3: every part one or two digits
  std::size_t run = 0;
  for (const char c : text) {
    run = c >= '0' && c <= '9' ? run + 1 : 0;
    if (run > 2) return false;
  }
  return true;
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
  out.phone_regions = config.texts("phone_regions", out.phone_regions);
  if (const auto known = check_regions(out.phone_regions); !known.ok())
    config.reject("phone_regions", known.error().message);
  out.detector = config.texts("detector", std::vector<std::string>{});
  SOTTO_TRY_VOID(config.finish());
  return out;
}

Result<void> PiiFinder::add(PiiKind kind, const std::string& pattern, bool (*valid)(std::string_view), bool behind_label) {
  if (!kinds_.empty() && !kinds_.contains(kind)) return {};
  SOTTO_TRY(auto regex, data::Regex::make(pattern));
  rules_.push_back({kind, std::move(regex), valid, behind_label});
  return {};
}

Result<void> PiiFinder::add_dates() {
  const std::string month = kMonth, time = kTime, year = "(?:[0-9]{4}|'?[0-9]{2})";
  for (const std::string mark : {"/", "\\.", "-"}) {
    SOTTO_TRY_VOID(add(PiiKind::kDate, "[0-9]{4}" + mark + "[0-9]{1,2}" + mark + "[0-9]{1,2}" + time, date_valid));
    SOTTO_TRY_VOID(add(PiiKind::kDate,
                       "[0-9]{1,2}" + mark + "[0-9]{1,2}" + mark +
                           "(?:[0-9]{4}|[0-9]{2})(?! ?(?:units?|mg|mcg|ml|mL|tablets?|tabs?|IU|puffs?)(?![A-Za-z]))" + time,
                       date_valid));
  }
  SOTTO_TRY_VOID(add(PiiKind::kDate, "[0-9]{8}(?:T[0-9]{4,6}Z?)?", compact_date_valid));
  SOTTO_TRY_VOID(add(PiiKind::kDate,
                     month + "[. -]{1,2}[0-9]{1,2}(?:st|nd|rd|th)?(?:,? ?|-)[0-9]{4}" + time +
                         "|[0-9]{1,2}(?:st|nd|rd|th|\\.)?(?: of | |-|/)?" + month + "\\.?(?:,? |-|/|)" + year + time,
                     date_valid));
  return add(PiiKind::kDate,
             month + "\\.?,? [0-9]{4}|" + month + "\\.? [0-9]{1,2}(?:st|nd|rd|th)?(?![0-9])|" +
                 "[0-9]{1,2}(?:st|nd|rd|th|\\.)?(?: of | |-)" + month,
             date_valid);
}

Result<void> PiiFinder::add_addresses() {
  const std::string word = kWord;
  SOTTO_TRY_VOID(add(PiiKind::kAddress,
                     "[0-9]{1,6} (?:" + word +
                         " ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|"
                         "Square|Sq|Terrace|Parkway|Circle|Crescent|Close|Highway|Trail|Row)\\.?(?:,? "
                         "(?:Apt|Suite|Unit|Apartment)\\.? [0-9A-Z]+)?"
                         "(?:,? " +
                         word + "(?: " + word + "){0,3},? [A-Z]{2} [0-9]{5}(?:-[0-9]{4})?)?"));
  return add(PiiKind::kAddress,  // any street, when town, state and code follow; military mail
             "[0-9]{1,6}(?: " + word + "){1,4}(?: (?:Apt|Suite|Unit|Apartment)\\.? [0-9A-Z]+)?, " + word + "(?: " + word +
                 "){0,3},? [A-Z]{2} [0-9]{5}(?:-[0-9]{4})?|(?:PSC [0-9]+|Unit [0-9]+|US(?:NS|S|CGC|NV|NB) " + word +
                 ")(?:,? Box [0-9]+)?,? (?:FPO|APO|DPO),? A[AEP] [0-9]{5}");
}

// Beside libphonenumber: numbers that no plan has (any more), as they are written.
Result<void> PiiFinder::add_phones() {
  SOTTO_TRY_VOID(
      add(PiiKind::kPhone,
          "\\+[0-9]{1,3}(?:[ .-]?\\(?[0-9]{1,4}\\)?){2,5}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?|[2-9][0-9]{2}[2-9][0-9]{6}|"
          "(?:1[ .-])?\\([0-9]{3}\\)[ .-]?[0-9]{3}[ .-][0-9]{4}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?|"
          "(?:0?01[ .-]|1[ .-])?[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}(?:x[0-9]{1,6}| ext\\.? [0-9]{1,6})?",
          phone_valid));
  SOTTO_TRY_VOID(add(PiiKind::kPhone, "\\(?0[0-9]{2,4}\\)?[ /-][0-9]{3,4}[ -]?[0-9]{3,4}", trunk_valid));
  return add(PiiKind::kPhone,
             "(?i:phone|tel|telephone|call|fax|mobile|cell)(?: at| number)?[.:]? (?:[0-9(][0-9 ().-]{5,18}[0-9])",
             phone_valid, true);
}

// In order of trust: what an earlier rule took, a later one leaves.
Result<PiiFinder> PiiFinder::make(const PiiConfig& config) {
  SOTTO_TRY(auto names, NameFinder::make(config.names));
  PiiFinder out(std::move(names));
  out.kinds_ = config.kinds;
  out.keep_.insert(config.keep.begin(), config.keep.end());
  out.phone_regions_ = config.phone_regions;
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
  SOTTO_TRY_VOID(out.add(PiiKind::kSsn, "[0-9]{3} [0-9]{2} [0-9]{4}", ssn_valid));
  SOTTO_TRY_VOID(out.add_dates());
  SOTTO_TRY_VOID(out.add(PiiKind::kIpAddress, "[0-9]{1,3}(?:\\.[0-9]{1,3}){3}", ip_valid));
  SOTTO_TRY_VOID(
      out.add(PiiKind::kIpAddress, "[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\\.[0-9]{1,3}){3})?", ip6_valid));
  SOTTO_TRY_VOID(out.add_addresses());
  SOTTO_TRY_VOID(out.add_phones());
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
    const bool number = rule.kind == PiiKind::kDate || rule.kind == PiiKind::kIpAddress;
    if (number && is_short_number_list(found) && behind_label_word(text, begin)) continue;
    if (!stands_alone(text, begin, end) || (rule.valid != nullptr && !rule.valid(found)) || keep_.contains(found)) continue;
    out.push_back({begin, end, rule.kind});
  }
}

std::vector<PiiSpan> PiiFinder::find(std::string_view original) const {
  const PlainText plain = plain_text(original);
  const std::string_view text = plain.text;
  std::vector<PiiSpan> all;
  for (const Rule& rule : rules_) find_rule(rule, text, all);
  if (wants(PiiKind::kPhone))
    for (const auto& [begin, end] : find_phones(text, phone_regions_))
      if (!inside_number(text, begin, end) && stands_alone(text, begin, end) && !keeps(text.substr(begin, end - begin)))
        all.push_back({begin, end, PiiKind::kPhone});
  if (wants(PiiKind::kName))
    for (const auto& [begin, end] : names_.find(text))
      if (!keeps(text.substr(begin, end - begin))) all.push_back({begin, end, PiiKind::kName});
  std::vector<PiiSpan> out;  // earlier rules win
  for (const PiiSpan& span : all) {
    const bool free =
        std::ranges::none_of(out, [&](const PiiSpan& other) { return span.begin < other.end && other.begin < span.end; });
    if (free) out.push_back(span);
  }
  std::ranges::sort(out, {}, &PiiSpan::begin);
  for (PiiSpan& span : out) {
    span.begin = plain.origin[span.begin];
    span.end = plain.origin[span.end];
  }
  return out;
}

}  // namespace sotto::curation
