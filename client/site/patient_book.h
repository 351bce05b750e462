// The book of a site's patients and of what was spent from their budget: one folder, mode 0700, beside the site's
// configuration. All site folders that joined with this configuration share it, whichever coordinator they joined.
//   patients.key       32 bytes, made once: the key of the hashes of patient ids and data, and of the hold-out
//   BUDGET.patients    sorted: the first 16 bytes of HMAC-SHA-256(key, "sotto/patient/v1" | 0 | id) of each patient of the
//                      budget
//   spent/BUDGET.LOG   what the site folder whose log has this id has spent of the budget: a spent_elsewhere event's bytes
//   lock               held from reading the book to the reservation
// A patient belongs to one budget for good: the same people in a new file, or under another budget's name, are found here.
// What a folder spends is written before its reservation and stays when the folder is deleted, so a crash over-counts. Only
// the sums that spent_elsewhere puts into a log leave the site. One thread.
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

  // These patients belong to `budget` from now on. Refused, without writing, when one of them belongs to another budget. The
  // message, for the site's own terminal, says how many and names no id. The lock is held.
  Result<void> claim(const std::string& budget, const std::set<std::string>& patients) const;

  // What all logs but `own_log` have spent from the budget. Fails when a part cannot be read, because an unknown part is not
  // zero.
  Result<audit::Spent> elsewhere(const std::string& budget, const Digest& own_log) const;
  Result<void> publish(const std::string& budget, const Digest& own_log, const audit::Spent& spent) const;

  // Who never trains: the same patients in every run of the site, federated or alone.
  data::HoldOutKey hold_out_key() const;
  // HMAC-SHA-256(key, "sotto/data-fingerprint/v1" | 0 | content). With it the site, and nobody else, can recognise its data
  // set.
  Digest fingerprint(ByteSpan content) const;

 private:
  PatientBook(std::string folder, PatientKey key) : folder_(std::move(folder)), key_(std::move(key)) {}
  std::string file_of(const std::string& budget) const { return folder_ + "/" + budget + ".patients"; }
  std::string folder_;
  PatientKey key_;
};

}  // namespace sotto::client
