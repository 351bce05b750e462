#include "tests/model/file_vectors.h"

#include <algorithm>
#include <cstring>

#include "model/files/checkpoint.h"
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

ModelConfig tiny_llama_config() { return Checkpoint::open(vector_path("tiny/llama")).value().config(); }

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
