#include "tests/model/vectors.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/support/fixed_random.h"

namespace sotto::model {

std::string vector_path(const std::string& name) { return std::string(SOTTO_VECTORS) + "/" + name; }

Json read_json(const std::string& name) { return Json::read_file(vector_path(name)).value(); }

data::SafetensorsFile read_safetensors(const std::string& name) {
  return data::SafetensorsFile::open(vector_path(name)).value();
}

template <class T>
std::vector<T> elements(const data::SafetensorsFile& file, const std::string& name, data::SafetensorsType type) {
  const auto* info = file.find_tensor(name);
  INFO(name);
  REQUIRE(info != nullptr);
  REQUIRE(info->type == type);
  std::vector<T> values(info->elements);
  std::memcpy(values.data(), file.bytes(*info).data(), values.size() * sizeof(T));
  return values;
}

std::vector<float> floats(const data::SafetensorsFile& file, const std::string& name) {
  return elements<float>(file, name, data::SafetensorsType::kF32);
}

std::vector<std::int64_t> integers(const data::SafetensorsFile& file, const std::string& name) {
  const auto* info = file.find_tensor(name);
  if (info == nullptr || info->type != data::SafetensorsType::kI32)
    return elements<std::int64_t>(file, name, data::SafetensorsType::kI64);
  const auto narrow = elements<std::int32_t>(file, name, data::SafetensorsType::kI32);
  return {narrow.begin(), narrow.end()};
}

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

AdapterState scattered_adapter(const ModelConfig& config, const LoraPlan& plan) {
  AdapterState state = zero_adapter(lora_layout(config, plan).value());
  FixedRandom random(3);
  for (auto& factor : state.factors)
    for (auto* values : {&factor.a, &factor.b})
      for (float& v : *values) v = 0.02F * (static_cast<float>(random.below(2001)) / 1000 - 1);
  return state;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

double norm(std::span<const float> a) {
  double square = 0;
  for (const float v : a) square += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(square);
}

double relative_difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  std::vector<float> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return norm(difference) / norm(b);
}

}  // namespace sotto::model
