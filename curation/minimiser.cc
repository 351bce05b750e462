#include "curation/minimiser.h"

#include <algorithm>

#include "crypto/hash.h"
#include "curation/name_lists.h"
#include "curation/phrases.h"
#include "curation/surrogate_dates.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::string_view kStreets[] = {"Maple Street",   "Oak Avenue",  "Cedar Lane",  "Elm Drive",   "Pine Road",
                                         "Lake View Road", "Hill Street", "Garden Lane", "Park Avenue", "River Road"};

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

std::string Minimiser::other_name(const std::string& original, const std::string& patient) const {
  std::string out;
  for (std::size_t at = 0; at < original.size();) {
    const auto end = std::min(original.find(' ', at), original.size());
    const std::string word = original.substr(at, end - at);
    if (word.size() <= 2) {  // an initial
      out += static_cast<char>('A' + draw("initial", word, patient) % 26);
      if (word.ends_with('.')) out += '.';
    } else {
      const auto list = finder_.is_given_name(word) ? given_names() : surnames();
      auto index = draw("name", lower_case(word), patient) % list.size();
      if (list[index] == word) index = (index + 1) % list.size();
      out += list[index];
    }
    if (end < original.size()) out += ' ';
    at = end + 1;
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
    case PiiKind::kIpAddress: return "192.0.2." + std::to_string(draw("ip", original, patient) % 256);  // RFC 5737
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

std::string Minimiser::text(std::string_view given, const std::string& patient, std::vector<Replacement>& replaced) const {
  const std::string clean = data::is_utf8(given) ? std::string(given) : data::utf8_lossy(given);
  std::string out;
  std::size_t from = 0;
  for (const PiiSpan& span : finder_.find(clean)) {
    std::string original = clean.substr(span.begin, span.end - span.begin);
    std::string fresh = surrogate(span.kind, original, patient);
    out.append(clean, from, span.begin - from).append(fresh);
    from = span.end;
    replaced.push_back({span.kind, std::move(original), std::move(fresh)});
  }
  return out.append(clean, from);
}

Json Minimiser::record(const Json& record, const std::string& patient, std::vector<Replacement>& replaced) const {
  Json out = record;
  for (const char* field : {"instruction", "input", "output"})
    if (const Json* value = record.find(field); value != nullptr && value->is_string())
      out.set(field, text(value->as_string(), patient, replaced));
  const Json* messages = record.find("messages");
  if (messages == nullptr || !messages->is_array()) return out;
  Json fresh = Json::array();
  for (const auto& message : messages->items()) {
    Json copy = message;
    if (const Json* content = message.find("content"); content != nullptr && content->is_string())
      copy.set("content", text(content->as_string(), patient, replaced));
    fresh.push(std::move(copy));
  }
  return out.set("messages", std::move(fresh));
}

}  // namespace sotto::curation
