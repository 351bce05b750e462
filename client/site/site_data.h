// A site's records as its configuration names them, which of its patients never train, and how the site recognises its data
// set.
#pragma once

#include "client/site/patient_book.h"
#include "client/site/site_config.h"
#include "data/records/hold_out.h"

namespace sotto::client {

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt);
// To be called before a record is used. Claims these patients for the budget; refused when one of them belongs to another
// budget.
Result<void> claim_patients(const PatientBook& book, const std::string& budget, const std::vector<data::Record>& records);

// Derived from the site's book of patients: the same patients are held out for the life of the site, in every run.
data::HoldOut hold_out_of(const PatientBook& book, const SiteConfig& config);

// A keyed hash of the records of a run, in whatever order and however their files are packed or sealed. Another run of the same
// records has another one, so that two passports do not tell whether a record changed in between.
Digest fingerprint_of(const PatientBook& book, const RunId& run, const std::vector<data::Record>& records);

}  // namespace sotto::client
