// A book of patients as version 1 wrote it: BUDGET.patients (sorted marks of 16 bytes) and spent/BUDGET.LOG (the bytes of a
// spent_elsewhere event: what the log of this id has spent), beside patients.key and without a log. Taken over, its patients
// and all that was spent stand in the log of a book of this version, and its files in version-1/. A kill at any point of that
// leaves version 1 as it was, or a book of this version that is whole.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "audit/ledger/spending.h"
#include "client/site/patient_book.h"

namespace sotto::client {

struct BookOfVersion1 {
  std::map<std::string, std::set<Mark>> patients;                // by budget
  std::map<std::pair<std::string, Digest>, audit::Spent> spent;  // by budget and log
};

bool is_book_of_version_1(const std::string& folder);
// Fails, by file, on whatever cannot be read: unknown is not nothing.
Result<BookOfVersion1> read_version_1(const std::string& folder);
Result<void> take_over_version_1(const std::string& folder, const BookOfVersion1& old);
// The last step of that, which a kill may have kept from its end: the files of version 1 go where no program of that version
// looks for them, and `spent` becomes a file, at which such a program stops.
Result<void> put_version_1_away(const std::string& folder);

}  // namespace sotto::client
