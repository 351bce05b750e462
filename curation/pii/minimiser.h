// Replaces what names a person by surrogates of the same form, so that the text stays readable: names by other names, dates
// by dates moved by a number of days that is the patient's own (intervals stay), digits by digits with valid check digits.
// Within a patient the same original gives the same surrogate; another patient's records never matter. Surrogates come from
// HMAC-SHA-256 under the site's key: without it nobody can tell which original stood there, and the same export gives the
// same bytes again. One thread.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "crypto/secret.h"
#include "curation/pii/outside_detector.h"
#include "curation/pii/pii.h"

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
  // What a detector of the site's own finds goes, too.
  void add(OutsideDetector detector) { outside_.emplace(std::move(detector)); }

  // `replaced` gets what was done, in order. Fails when the outside detector does.
  Result<std::string> text(std::string_view text, const std::string& patient, std::vector<Replacement>& replaced);
  // All texts of a record, in whatever field and however deep. Left alone are patient_id, by which records belong together, the
  // roles of messages, and what is no text; `kept` gets the names of such fields but the roles. An id or a field's name in
  // which something is found becomes another one as a whole.
  Result<Json> record(const Json& record, const std::string& patient, std::vector<Replacement>& replaced,
                      std::set<std::string>& kept);

 private:
  std::string surrogate(PiiKind kind, const std::string& original, const std::string& patient) const;
  std::uint64_t draw(std::string_view purpose, std::string_view original, const std::string& patient) const;
  std::string other_name(const std::string& original, const std::string& patient) const;
  std::string other_date(const std::string& original, const std::string& patient) const;
  std::string other_digits(const std::string& original, const std::string& patient, std::string_view purpose) const;
  Result<std::vector<PiiSpan>> spans_of(std::string_view text);
  Result<std::string> label(const std::string& label, const std::string& patient, std::vector<Replacement>& replaced);

  struct Walk;  // through a record

  PiiFinder finder_;
  MinimiserKey key_;
  std::optional<OutsideDetector> outside_;
};

}  // namespace sotto::curation
