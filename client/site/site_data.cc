#include "client/site/site_data.h"

#include <algorithm>
#include <iterator>

#include "crypto/hash.h"

namespace sotto::client {
namespace {

// What was said, whoever the patient is and whatever instruction precedes it: system messages come from the plan.
Bytes content_of(const data::Record& record) {
  ByteWriter out;
  for (const auto& message : record.messages) {
    if (message.role != "system") out.text(message.role).text(message.content);
  }
  return out.take();
}

}  // namespace

Result<std::vector<data::Record>> read_site_records(const SiteConfig& config, const std::string& system_prompt) {
  std::vector<data::Record> records;
  for (const auto& file : config.data) {
    SOTTO_TRY(auto more, data::read_records(file, {system_prompt, config.data_key}));
    std::ranges::move(more, std::back_inserter(records));
  }
  return records;
}

Result<void> claim_patients(const PatientBook& book, const std::string& budget, const data::Split& parts) {
  People people;
  for (const auto& record : parts.training) {
    people.training.insert(book.mark_of_patient(record.patient_id));
    people.records.insert(book.mark_of_record(content_of(record)));
  }
  for (const auto& record : parts.held_out) people.held_out.insert(book.mark_of_patient(record.patient_id));
  SOTTO_TRY(LockedBook open, book.lock());
  return open.claim(budget, people);
}

Result<void> check_held_out(const PatientBook& book, const std::vector<data::Record>& held_out) {
  std::set<Mark> patients;
  for (const auto& record : held_out) patients.insert(book.mark_of_patient(record.patient_id));
  SOTTO_TRY(const LockedBook open, book.lock());
  const std::size_t trained = open.training_among(patients);
  if (trained == 0) return {};
  return refused(
      std::to_string(trained) +
      " of the patients whom holdout_fraction would hold out have trained under this site's promise: exact losses "
      "on them are covered by no epsilon. Put holdout_fraction back to what it was when they trained");
}

Result<void> check_outside(const PatientBook& book, const OutsideFile& file, bool claims) {
  SOTTO_TRY(const auto records, data::read_records(file.file, {{}, file.key_file}));
  Outside outside;
  for (const auto& record : records) {
    outside.patient_of.push_back(book.mark_of_patient(record.patient_id));
    outside.records.push_back(book.mark_of_record(content_of(record)));
  }
  SOTTO_TRY(LockedBook open, book.lock());
  const auto [count, patients] = open.protected_in(outside);
  if (count > 0)
    return refused(file.key + " '" + file.file + "': " + std::to_string(count) + " of its " +
                   std::to_string(records.size()) + " records, of " + std::to_string(patients) +
                   " patients, are of patients who train under this site's promise, or hold what their records hold; exact "
                   "results on them are covered by no epsilon. Take them out of this file" +
                   (file.key == "train.validation" ? ", or leave the key out to judge by the patients whom holdout_fraction "
                                                     "holds out"
                                                   : ""));
  return claims ? open.claim_outside(outside) : Result<void>();
}

data::HoldOut hold_out_of(const PatientBook& book, const SiteConfig& config) {
  return {book.hold_out_key(), config.holdout_fraction};
}

Digest fingerprint_of(const PatientBook& book, const std::vector<data::Record>& records) {
  crypto::Sha256 hash;
  for (const auto& record : records) {
    ByteWriter one;
    one.text(record.patient_id).u32(static_cast<std::uint32_t>(record.messages.size()));
    for (const auto& message : record.messages) one.text(message.role).text(message.content);
    hash.update(one.view());
  }
  return book.fingerprint(hash.finish());
}

}  // namespace sotto::client
