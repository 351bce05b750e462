// Replaces what names a person by surrogates of the same form, so that the text stays readable: names by other names, dates
// by dates moved by a number of days that is the patient's own (intervals stay), digits by digits with valid check digits.
// Within a patient the same original gives the same surrogate; another patient's records never matter. Surrogates come from
// HMAC-SHA-256 under the site's key: without it nobody can tell which original stood there, and the same export gives the
// same bytes again. Immutable; safe from several threads.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "crypto/secret.h"
#include "curation/pii.h"

namespace sotto::curation {

using MinimiserKey = crypto::Secret<32, struct MinimiserKeyTag>;  // made once by the site, never sent

struct Replacement {
  PiiKind kind;
  std::string original;
  std::string surrogate;
};

using PiiCounts = std::array<std::uint64_t, kPiiKinds>;

class Minimiser {
 public:
  Minimiser(PiiFinder finder, MinimiserKey key) : finder_(std::move(finder)), key_(std::move(key)) {}

  // `replaced` gets what was done, in order.
  std::string text(std::string_view text, const std::string& patient, std::vector<Replacement>& replaced) const;
  // A record's texts (instruction, input, output, contents of messages); all else stays as it is.
  Json record(const Json& record, const std::string& patient, std::vector<Replacement>& replaced) const;

 private:
  std::string surrogate(PiiKind kind, const std::string& original, const std::string& patient) const;
  std::uint64_t draw(std::string_view purpose, std::string_view original, const std::string& patient) const;
  std::string other_name(const std::string& original, const std::string& patient) const;
  std::string other_date(const std::string& original, const std::string& patient) const;
  std::string other_digits(const std::string& original, const std::string& patient, std::string_view purpose) const;

  PiiFinder finder_;
  MinimiserKey key_;
};

}  // namespace sotto::curation
