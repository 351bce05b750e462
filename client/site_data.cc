#include "client/site_data.h"

#include <algorithm>
#include <iterator>

#include "crypto/kdf.h"

namespace sotto::client {

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt) {
  std::vector<data::Record> records;
  for (const auto& file : config.data) {
    SOTTO_TRY(auto more, data::read_records(file, {system_prompt, config.data_key}));
    std::ranges::move(more, std::back_inserter(records));
  }
  return records;
}

Result<void> claim_patients(const PatientBook& book, const std::string& budget, const std::vector<data::Record>& records) {
  std::set<std::string> patients;
  for (const auto& record : records) patients.insert(record.patient_id);
  SOTTO_TRY(const FileLock lock, book.lock());
  return book.claim(budget, patients);
}

data::HoldOut hold_out_of(const RunKey& run_key, const SiteConfig& config) {
  return {data::HoldOutKey(crypto::hkdf_sha256<32>({}, run_key.reveal(), as_bytes("sotto/hold-out-key/v1"))),
          config.holdout_fraction};
}

}  // namespace sotto::client
