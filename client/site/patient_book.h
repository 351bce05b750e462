// The book of a site's patients and what was spent of their privacy: one folder, mode 0700, beside the site's configuration
// and shared by every site folder that joined with it, whichever coordinator that belongs to, and by every folder of `train`.
//   patients.key   32 bytes, made once: what patient ids and data are hashed with, and who is held out derives from
//   log            an event log of its own (audit/log/book_events.h): who the patients are, and what each log has spent
//   head.json      how far that log has come: one that is shorter, or another, was put in its place
//   spent          a line that says which version the book has; programs of version 1 stop at it
//   lock, locks/   held from reading the book to the reservation; held by whoever works with the log of that id
// Nothing of the book leaves the site but the sums that spent_elsewhere puts into a log. One thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "audit/ledger/spending.h"
#include "audit/log/event_log.h"
#include "base/files.h"
#include "crypto/secret.h"
#include "data/records/hold_out.h"

namespace sotto::client {

using PatientKey = crypto::Secret<32, struct PatientKeyTag>;
inline constexpr std::string_view kBookVersion =
    "This book of patients has version 2: what was spent stands in 'log'. Programs of version 1 cannot read it.\n";

using Mark = std::array<std::uint8_t, 16>;  // the first half of a keyed hash

class LockedBook;

class PatientBook {
 public:
  // Makes the folder and the key when they are not there. A book of version 1 is refused by name (client/site/book_version_1.h).
  static Result<PatientBook> open(const std::string& folder);

  // Waits up to ten seconds for another folder's reservation to end; reads the book anew and holds it against its head.
  Result<LockedBook> lock() const;
  // Held as long as somebody works with this log: a copy of its folder at the same time is refused.
  Result<FileLock> take_up(const Digest& log, const std::string& path) const;

  // First half of HMAC-SHA-256(key, "sotto/patient/v1" | 0 | id), and the same of what a record holds ("sotto/record/v1").
  Mark mark_of_patient(std::string_view id) const;
  Mark mark_of_record(ByteSpan content) const;
  // Who never trains: the same patients in every run of the site, federated or alone.
  data::HoldOutKey hold_out_key() const;
  // HMAC-SHA-256(key, "sotto/data-fingerprint/v1" | 0 | content). With it the site, and nobody else, can recognise its data
  // set.
  Digest fingerprint(ByteSpan content) const;

  const std::string& folder() const { return folder_; }
  // The same key over another folder: of a book that is being made from one of version 1.
  Result<PatientBook> remade_in(const std::string& folder) const;
  static Result<PatientBook> of_version_1(const std::string& folder);

 private:
  friend class LockedBook;
  PatientBook(std::string folder, PatientKey key) : folder_(std::move(folder)), key_(std::move(key)) {}
  Digest key_check() const;
  std::string folder_;
  PatientKey key_;
};

}  // namespace sotto::client
