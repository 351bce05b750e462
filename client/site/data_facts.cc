#include "client/site/data_facts.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "base/log.h"

namespace sotto::client {

std::uint64_t rounded_size(std::uint64_t units) {
  std::uint64_t step = 1;
  while (units / step >= 100) step *= 10;
  return (units + step / 2) / step * step;
}

Result<void> check_declared_size(std::uint64_t declared, std::uint64_t units, bool accepted) {
  const auto true_size = static_cast<double>(units), said = static_cast<double>(declared);
  if (accepted || units == 0 || std::abs(said - true_size) <= 0.25 * true_size) return {};
  return refused("the declared size is " + std::to_string(declared) + ", and the site's data hold " + std::to_string(units) +
                 " units that train; " + std::to_string(rounded_size(units)) +
                 " would fit. Rates and noise follow the declared size. Give another one, or --yes to keep it");
}

std::uint64_t training_patients(std::uint64_t patients, double holdout_fraction) {
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(patients) * (1 - holdout_fraction)));
}

std::uint64_t patients_of(const std::vector<data::Record>& records) {
  std::set<std::string_view> patients;
  for (const auto& record : records) patients.insert(record.patient_id);
  return patients.size();
}

std::vector<std::optional<std::size_t>> tokens_needed(const std::vector<data::Record>& records,
                                                      const data::ChatTemplate& chat) {
  std::vector<std::optional<std::size_t>> out;
  for (const auto& record : records) {
    const auto example = chat.example(record.messages);
    out.emplace_back();
    if (!example.ok()) continue;
    const auto first = std::ranges::find_if(example->labels, [](std::int32_t label) { return label != data::kNoLabel; });
    if (first != example->labels.end()) out.back() = static_cast<std::size_t>(first - example->labels.begin()) + 1;
  }
  return out;
}

void tell_idle(const data::DataSet& data, std::uint32_t max_tokens) {
  if (data.skipped + data.refused == 0) return;
  log(Level::kWarning, "records_train_nothing",
      {{"records", data.skipped + data.refused},
       {"of_records", data.records.size() + data.skipped + data.refused},
       {"units", data.idle_units},
       {"of_units", data.units.size() + data.idle_units},
       {"answers_behind_max_tokens", data.skipped},
       {"refused_by_chat_template", data.refused},
       {"max_tokens", max_tokens},
       {"next_step", data.skipped > 0
                         ? "raise training.max_tokens, or shorten the questions; 'sotto-client doctor' tells how far"
                         : data.refusal}});
}

}  // namespace sotto::client
