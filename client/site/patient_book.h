// The book of a site's patients and what was spent of their privacy: one folder, mode 0700, beside the site's configuration
// and shared by every site folder that joined with it, whichever coordinator that belongs to.
//   patients.key       32 bytes, made once: what patient ids and data are hashed with, and who is held out derives from
//   BUDGET.patients    sorted: the first 16 bytes of HMAC-SHA-256(key, "sotto/patient/v1" | 0 | id) of each patient of the
//                      budget
//   spent/BUDGET.LOG   what the site folder whose log has this id has spent of the budget: a spent_elsewhere event's bytes
//   lock               held from reading the book to the reservation
// A patient belongs to one budget for good: importing the same people as a new file, or under another budget's name, finds
// them here. A folder's part is written before its reservation, and stays when the folder is deleted: a crash over-counts.
// Nothing of the book leaves the site but the sums that spent_elsewhere puts into a log. One thread.
#pragma once

#include <set>
#include <string>

#include "audit/ledger/spending.h"
#include "base/files.h"
#include "crypto/secret.h"
#include "data/records/hold_out.h"

namespace sotto::client {

using PatientKey = crypto::Secret<32, struct PatientKeyTag>;

class PatientBook {
 public:
  // Makes the folder and the key when they are not there.
  static Result<PatientBook> open(const std::string& folder);

  // Waits up to ten seconds for another folder's reservation to end.
  Result<FileLock> lock() const;

  // These patients belong to `budget` from now on. Refused, and nothing is written, when one of them belongs to another
  // budget; the message tells how many, on the site's own terminal, and no id. The lock is held.
  Result<void> claim(const std::string& budget, const std::set<std::string>& patients) const;

  // What all logs but `own_log` have spent of the budget. Fails when a part cannot be read: unknown is not nothing.
  Result<audit::Spent> elsewhere(const std::string& budget, const Digest& own_log) const;
  Result<void> publish(const std::string& budget, const Digest& own_log, const audit::Spent& spent) const;

  // Who never trains: the same patients in every run of the site, federated or alone.
  data::HoldOutKey hold_out_key() const;
  // HMAC-SHA-256(key, "sotto/data-fingerprint/v1" | 0 | content): by it the site, and nobody else, knows its data again.
  Digest fingerprint(ByteSpan content) const;

 private:
  PatientBook(std::string folder, PatientKey key) : folder_(std::move(folder)), key_(std::move(key)) {}
  std::string file_of(const std::string& budget) const { return folder_ + "/" + budget + ".patients"; }
  std::string folder_;
  PatientKey key_;
};

}  // namespace sotto::client
