// A site's records as its configuration names them, and which of its patients never train.
#pragma once

#include "client/patient_book.h"
#include "client/site_config.h"
#include "client/site_folder.h"
#include "data/hold_out.h"

namespace sotto::client {

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt);
// Before a record is used: the budget is the one of these patients. Refused when one of them belongs to another.
Result<void> claim_patients(const PatientBook& book, const std::string& budget, const std::vector<data::Record>& records);
// From the site's run key: the same patients for the life of the site.
data::HoldOut hold_out_of(const RunKey& run_key, const SiteConfig& config);
inline data::HoldOut hold_out_of(const SiteFolder& folder, const SiteConfig& config) { return hold_out_of(folder.run_key(), config); }

}  // namespace sotto::client
