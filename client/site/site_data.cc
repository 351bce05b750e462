#include "client/site/site_data.h"

#include <algorithm>
#include <iterator>

#include "crypto/hash.h"

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

data::HoldOut hold_out_of(const PatientBook& book, const SiteConfig& config) {
  return {book.hold_out_key(), config.holdout_fraction};
}

Digest fingerprint_of(const PatientBook& book, const RunId& run, const std::vector<data::Record>& records) {
  std::vector<Digest> each;
  for (const auto& record : records) {
    ByteWriter one;
    one.text(record.patient_id).u32(static_cast<std::uint32_t>(record.messages.size()));
    for (const auto& message : record.messages) one.text(message.role).text(message.content);
    each.push_back(crypto::sha256(one.view()));
  }
  std::ranges::sort(each);
  crypto::Sha256 hash;
  hash.update(ByteWriter().text("sotto/data/v2").text(run.value()).view());
  for (const Digest& one : each) hash.update(one);
  return book.fingerprint(hash.finish());
}

}  // namespace sotto::client
