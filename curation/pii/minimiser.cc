#include "curation/pii/minimiser.h"

#include <algorithm>

#include "crypto/hash.h"
#include "curation/phrases.h"
#include "curation/pii/name_lists.h"
#include "curation/pii/names.h"
#include "curation/pii/plain_text.h"
#include "curation/pii/surrogate_dates.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::string_view kStreets[] = {"Maple Street",   "Oak Avenue",  "Cedar Lane",  "Elm Drive",   "Pine Road",
                                         "Lake View Road", "Hill Street", "Garden Lane", "Park Avenue", "River Road"};

// Names of fields that name nobody.
constexpr std::string_view kRecordFields[] = {"instruction", "input", "output",  "messages",  "role", "content", "id",
                                              "site",        "task",  "chapter", "encounter", "copy", "note",    "meta"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The last digit that makes the text valid, if one does.
void mend_check_digit(std::string& text, bool (*valid)(std::string_view)) {
  const auto last = std::find_if(text.rbegin(), text.rend(), is_digit);
  if (last == text.rend()) return;
  for (char digit = '0'; digit <= '9'; ++digit) {
    *last = digit;
    if (valid(text)) return;
  }
}

// The two check digits behind the country.
void mend_iban(std::string& text) {
  for (int check = 2; check <= 98; ++check) {
    text[2] = static_cast<char>('0' + check / 10);
    text[3] = static_cast<char>('0' + check % 10);
    if (iban_valid(text)) return;
  }
}

}  // namespace

std::uint64_t Minimiser::draw(std::string_view purpose, std::string_view original, const std::string& patient) const {
  ByteWriter message;
  message.text("sotto/surrogate/v1").text(patient).text(purpose).text(original);
  const Digest digest = crypto::hmac_sha256(key_.reveal(), message.view());
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i) out |= std::uint64_t{digest[i]} << (8 * i);
  return out;
}

// Word by word; what stands between words, and capitals, stay: "Smith, JOHN" becomes "Brown, PETER".
std::string Minimiser::other_name(const std::string& given, const std::string& patient) const {
  const std::string original = plain_text(given).text;
  const auto is_letter = [](char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0 || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '\'' ||
           c == '-';
  };
  std::string out;
  for (std::size_t at = 0; at < original.size();) {
    if (!is_letter(original[at])) {
      out += original[at++];
      continue;
    }
    std::size_t end = at;
    while (end < original.size() && is_letter(original[end])) ++end;
    const std::string word = original.substr(at, end - at);
    at = end;
    if (word.size() == 1) {  // an initial
      out += static_cast<char>('A' + draw("initial", word, patient) % 26);
      continue;
    }
    const auto list = finder_.names().is_given(word) ? given_names() : surnames();
    auto index = draw("name", folded_name(word), patient) % list.size();
    if (folded_name(list[index]) == folded_name(word)) index = (index + 1) % list.size();
    std::string fresh(list[index]);
    const bool capitals = std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
    if (capitals)
      std::ranges::transform(fresh, fresh.begin(),
                             [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    out += fresh;
  }
  return out;
}

// By one to fifteen years, the same for all dates of a patient.
std::string Minimiser::other_date(const std::string& original, const std::string& patient) const {
  const auto days = 365 + static_cast<int>(draw("date", "", patient) % (14 * 365));
  return moved_date(original, -days).value_or("[date]");
}

std::string Minimiser::other_digits(const std::string& original, const std::string& patient,
                                    std::string_view purpose) const {
  std::string digits;
  std::ranges::copy_if(original, std::back_inserter(digits), is_digit);
  std::string out = original;
  std::size_t number = 0;
  for (char& c : out) {
    if (!is_digit(c)) continue;
    const auto drawn = draw(purpose, digits + "/" + std::to_string(number), patient);
    c = static_cast<char>(number++ == 0 ? '1' + drawn % 9 : '0' + drawn % 10);
  }
  return out;
}

std::string Minimiser::surrogate(PiiKind kind, const std::string& original, const std::string& patient) const {
  switch (kind) {
    case PiiKind::kName: return other_name(original, patient);
    case PiiKind::kDate: return other_date(original, patient);
    case PiiKind::kPhone: return other_digits(original, patient, "phone");
    case PiiKind::kRecordNumber: return other_digits(original, patient, "record");
    case PiiKind::kSsn: return "9" + other_digits(original, patient, "ssn").substr(1);  // 9..: never issued
    case PiiKind::kEmail:
      return "person" + std::to_string(draw("email", lower_case(original), patient) % 100000) + "@example.org";
    case PiiKind::kUrl: return "https://example.org/" + std::to_string(draw("url", original, patient) % 100000);
    case PiiKind::kOther: return "[removed]";
    case PiiKind::kIpAddress:
      if (original.find(':') != std::string::npos)  // RFC 3849
        return "2001:db8::" + std::to_string(1 + draw("ip", original, patient) % 9999);
      return "192.0.2." + std::to_string(draw("ip", original, patient) % 256);  // RFC 5737
    case PiiKind::kAddress:
      return std::to_string(1 + draw("house", original, patient) % 999) + " " +
             std::string(kStreets[draw("street", original, patient) % std::size(kStreets)]);
    case PiiKind::kCard: {
      std::string out = other_digits(original, patient, "card");
      mend_check_digit(out, luhn_valid);
      return out;
    }
    case PiiKind::kNhsNumber: {
      std::string out = other_digits(original, patient, "nhs");
      mend_check_digit(out, nhs_valid);
      return out;  // for one in eleven no last digit fits
    }
    case PiiKind::kIban: {
      std::string out = original.substr(0, 4) + other_digits(original.substr(4), patient, "iban");
      mend_iban(out);
      return out;
    }
  }
  SOTTO_CHECK(false);
}

// What the outside detector finds beyond the built-in patterns; of what overlaps them, the rest.
Result<std::vector<PiiSpan>> Minimiser::spans_of(std::string_view text) {
  std::vector<PiiSpan> out = finder_.find(text);
  if (!outside_ || text.empty()) return out;
  SOTTO_TRY(auto more, outside_->find(text));
  std::ranges::sort(more, {}, &PiiSpan::begin);
  for (PiiSpan span : more) {
    if (!finder_.wants(span.kind) || finder_.keeps(text.substr(span.begin, span.end - span.begin))) continue;
    std::vector<PiiSpan> taken = out;
    std::ranges::sort(taken, {}, &PiiSpan::begin);
    taken.push_back({span.end, span.end, span.kind});  // a last border
    for (const PiiSpan& other : taken) {
      if (other.end < span.begin || other.begin > span.end) continue;
      const std::size_t end = std::min(other.begin, span.end);
      const bool something =
          end > span.begin &&
          text.substr(span.begin, end - span.begin).find_first_not_of(" \t\r\n.,;:") != std::string_view::npos;
      if (something) out.push_back({span.begin, end, span.kind});
      span.begin = std::max(span.begin, other.end);
      if (span.begin >= span.end) break;
    }
  }
  std::ranges::sort(out, {}, &PiiSpan::begin);
  return out;
}

Result<std::string> Minimiser::text(std::string_view given, const std::string& patient, std::vector<Replacement>& replaced) {
  const std::string clean = data::is_utf8(given) ? std::string(given) : data::utf8_lossy(given);
  std::string out;
  std::size_t from = 0;
  SOTTO_TRY(const auto spans, spans_of(clean));
  for (const PiiSpan& span : spans) {
    std::string original = clean.substr(span.begin, span.end - span.begin);
    std::string fresh = surrogate(span.kind, original, patient);
    out.append(clean, from, span.begin - from).append(fresh);
    from = span.end;
    replaced.push_back({span.kind, std::move(original), std::move(fresh)});
  }
  return out.append(clean, from);
}

// A label is written without spaces: "John-Miller-617-555-0148".
Result<std::string> Minimiser::label(const std::string& label, const std::string& patient,
                                     std::vector<Replacement>& replaced) {
  std::string spaced = label;
  std::ranges::replace_if(spaced, [](char c) { return c == '_' || c == '/' || c == '|' || c == '.'; }, ' ');
  std::string words = spaced;
  std::ranges::replace(words, '-', ' ');
  for (const std::string_view reading : {std::string_view(label), std::string_view(spaced), std::string_view(words)}) {
    SOTTO_TRY(const auto spans, spans_of(reading));
    if (spans.empty()) continue;
    std::string fresh = "id-" + std::to_string(draw("label", label, patient));
    replaced.push_back({spans.front().kind, label, fresh});
    return fresh;
  }
  return label;
}

struct Minimiser::Walk {
  Minimiser& minimiser;
  const std::string& patient;
  std::vector<Replacement>& replaced;
  std::set<std::string>& kept;

  Result<Json> value(const Json& given, const std::string& name) {
    if (given.is_string()) {
      SOTTO_TRY(auto fresh, name == "id" ? minimiser.label(given.as_string(), patient, replaced)
                                         : minimiser.text(given.as_string(), patient, replaced));
      return Json(std::move(fresh));
    }
    if (given.is_object()) return object(given, name);
    if (given.is_array()) {
      Json out = Json::array();
      for (const auto& item : given.items()) {
        SOTTO_TRY(auto fresh, value(item, name));
        out.push(std::move(fresh));
      }
      return out;
    }
    if (!given.is_null() && !given.is_bool()) kept.insert(name);
    return given;
  }

  Result<Json> object(const Json& given, const std::string& inside) {
    Json out = Json::object();
    for (const auto& [name, member] : given.members()) {
      if (name == "patient_id") kept.insert(name);
      if (name == "patient_id" || (name == "role" && inside == "messages")) {
        out.set(name, member);
        continue;
      }
      std::string fresh_name = name;
      if (std::ranges::find(kRecordFields, name) == std::end(kRecordFields)) {
        SOTTO_TRY(fresh_name, minimiser.label(name, patient, replaced));
      }
      SOTTO_TRY(auto fresh, value(member, name));
      out.set(fresh_name, std::move(fresh));
    }
    return out;
  }
};

Result<Json> Minimiser::record(const Json& record, const std::string& patient, std::vector<Replacement>& replaced,
                               std::set<std::string>& kept) {
  return Walk{*this, patient, replaced, kept}.object(record, "");
}

}  // namespace sotto::curation
