// A site's records as its configuration names them, which of its patients never train, and by what the site recognises its
// data set. What stands outside the guarantee (validation, watched text, public text, held-out patients) is held against the
// book of patients: exact results on who trains under the promise would be covered by no epsilon.
#pragma once

#include "client/site/locked_book.h"
#include "client/site/site_config.h"
#include "data/records/hold_out.h"

namespace sotto::client {

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt);
// Before a record is used: the budget is the one of these patients, who train or are held out from now on. Refused when one of
// them belongs to another budget, or has the other part.
Result<void> claim_patients(const PatientBook& book, const std::string& budget, const data::Split& parts);
// Of a run that promises nothing, and of whatever else looks at held-out patients: refused when one of them trains.
Result<void> check_held_out(const PatientBook& book, const std::vector<data::Record>& held_out);

// Records that `key` of a plan or configuration names as outside the guarantee. Refused, by file and count, when one is of a
// patient who trains, or holds what a training record holds; `claims`: their patients never train from now on.
struct OutsideFile {
  std::string key;
  std::string file;
  std::string key_file = {};  // of a sealed file
};
Result<void> check_outside(const PatientBook& book, const OutsideFile& file, bool claims);

// Derived from the site's book of patients: the same patients are held out for the life of the site, in every run.
data::HoldOut hold_out_of(const PatientBook& book, const SiteConfig& config);

// A keyed hash of the records, in their order, however their files are packed or sealed.
Digest fingerprint_of(const PatientBook& book, const std::vector<data::Record>& records);

}  // namespace sotto::client
