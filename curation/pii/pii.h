// Finds what names a person in a text: patterns, check digits, word lists and the words around. Misses and false alarms
// remain: the benchmark prints recall and precision; a person looks at the preview. Immutable; safe from several threads.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "curation/pii/names.h"
#include "data/text/regex.h"

namespace sotto::curation {

enum class PiiKind : std::uint8_t {
  kName,
  kDate,
  kRecordNumber,
  kPhone,
  kEmail,
  kAddress,
  kUrl,
  kIpAddress,
  kSsn,
  kCard,
  kIban,
  kNhsNumber,
  kOther  // what a detector of the site's own found and gave another name
};
inline constexpr std::size_t kPiiKinds = 13;
const char* name_of(PiiKind kind);
Result<PiiKind> pii_kind(const std::string& name);

struct PiiSpan {
  std::size_t begin;
  std::size_t end;
  PiiKind kind;
  bool operator==(const PiiSpan&) const = default;
};

struct PiiConfig {
  std::set<PiiKind> kinds;                                // empty: all
  std::vector<std::string> names;                         // more given names and surnames
  std::vector<std::string> keep;                          // texts that are never replaced: the hospital's own name, eponyms
  std::vector<std::string> phone_regions = {"US", "GB"};  // whose telephone numbers are known without a plus sign
  std::vector<std::string> detector;  // a command of the site's own, beside the built-in patterns (outside_detector.h)
};
Result<PiiConfig> read_pii_config(const std::string& path);

class PiiFinder {
 public:
  static Result<PiiFinder> make(const PiiConfig& config);
  // Not overlapping, in order. `text` is well-formed UTF-8.
  std::vector<PiiSpan> find(std::string_view text) const;
  const NameFinder& names() const { return names_; }
  bool keeps(std::string_view text) const { return keep_.contains(text); }
  bool wants(PiiKind kind) const { return kinds_.empty() || kinds_.contains(kind); }

 private:
  struct Rule {
    PiiKind kind;
    data::Regex regex;
    bool (*valid)(std::string_view);  // of what matched; nullptr: always
    bool behind_label = false;        // the match is a label and a value; the value alone is meant
  };
  explicit PiiFinder(NameFinder names) : names_(std::move(names)) {}
  Result<void> add(PiiKind kind, const std::string& pattern, bool (*valid)(std::string_view) = nullptr,
                   bool behind_label = false);
  Result<void> add_dates();
  Result<void> add_addresses();
  Result<void> add_phones();
  void find_rule(const Rule& rule, std::string_view text, std::vector<PiiSpan>& out) const;

  std::set<PiiKind> kinds_;
  std::vector<Rule> rules_;
  NameFinder names_;
  std::vector<std::string> phone_regions_;
  std::set<std::string, std::less<>> keep_;
};

// Check digits: payment cards (ISO/IEC 7812, Luhn), IBAN (ISO 13616, mod 97), NHS numbers (mod 11). Separators are passed
// over.
bool luhn_valid(std::string_view text);
bool iban_valid(std::string_view text);
bool nhs_valid(std::string_view text);

}  // namespace sotto::curation
