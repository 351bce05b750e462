// A site's records as its configuration names them, which of its patients never train, and by what the site knows its data
// again.
#pragma once

#include "client/site/patient_book.h"
#include "client/site/site_config.h"
#include "data/records/hold_out.h"

namespace sotto::client {

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt);
// Before a record is used: the budget is the one of these patients. Refused when one of them belongs to another.
Result<void> claim_patients(const PatientBook& book, const std::string& budget, const std::vector<data::Record>& records);

// From the site's book of patients: the same ones for the life of the site, whoever trains.
data::HoldOut hold_out_of(const PatientBook& book, const SiteConfig& config);

// A keyed hash of the records, in their order, however their files are packed or sealed.
Digest fingerprint_of(const PatientBook& book, const std::vector<data::Record>& records);

}  // namespace sotto::client
