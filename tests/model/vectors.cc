#include "tests/model/vectors.h"

#include <algorithm>
#include <numeric>

#include "tests/support/fixed_random.h"

namespace sotto::model {

LanguageModel tiny_llama(Precision precision, int threads) {
  LoadOptions options;
  options.precision = precision;
  options.threads = threads;
  return LanguageModel::load(vector_path("tiny/llama"), options).value();
}

std::vector<float> logits_of(const LanguageModel& model, const data::SafetensorsFile& expected) {
  const auto ids = integers(expected, "input_ids");
  const std::size_t length = expected.find_tensor("input_ids")->shape[1];
  std::vector<std::uint32_t> rows(length);
  std::iota(rows.begin(), rows.end(), 0U);
  std::vector<float> logits;
  for (std::size_t at = 0; at < ids.size(); at += length) {
    std::vector<std::int32_t> sequence;
    for (std::size_t t = 0; t < length; ++t) sequence.push_back(static_cast<std::int32_t>(ids[at + t]));
    const auto of_row = model.logits(sequence, rows).value();
    logits.insert(logits.end(), of_row.begin(), of_row.end());
  }
  return logits;
}

data::DataSet data_set(const data::SafetensorsFile& file, const std::string& prefix) {
  const auto ids = integers(file, prefix + "input_ids"), mask = integers(file, prefix + "attention_mask"),
             labels = integers(file, prefix + "labels");
  const auto rows = file.find_tensor(prefix + "input_ids")->shape[0];
  const auto columns = ids.size() / rows;
  data::DataSet data;
  for (std::size_t row = 0; row < rows; ++row) {
    data::Example example;
    for (std::size_t i = row * columns; i < (row + 1) * columns; ++i) {
      if (mask[i] == 0) continue;
      example.ids.push_back(static_cast<std::int32_t>(ids[i]));
      example.labels.push_back(static_cast<std::int32_t>(labels[i]));
    }
    data.units.push_back({"patient " + std::to_string(row), {static_cast<std::uint32_t>(row)}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

privacy::SampledUnits all_units(const data::DataSet& data) {
  FixedRandom random(1);
  std::vector<std::uint32_t> counts;
  for (const auto& unit : data.units) counts.push_back(static_cast<std::uint32_t>(unit.examples.size()));
  return privacy::SampledUnits::draw(privacy::Unit::kPatient, counts, privacy::SamplingRate(1.0), 4, random);
}

}  // namespace sotto::model
