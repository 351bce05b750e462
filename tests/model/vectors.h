// Reading of expected values, and comparison with them.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/chat/chat_template.h"
#include "data/files/safetensors_file.h"
#include "data/records/data_set.h"
#include "model/adapter/lora.h"
#include "model/inference/language_model.h"
#include "privacy/mechanism/grid.h"
#include "privacy/mechanism/sampler.h"
#include "tests/support/catch.h"

namespace sotto::model {

std::string vector_path(const std::string& name);  // under tests/vectors
Json read_json(const std::string& name);
data::SafetensorsFile read_safetensors(const std::string& name);

// A tensor of a safetensors file, row-major.
std::vector<float> floats(const data::SafetensorsFile& file, const std::string& name);
std::vector<std::int64_t> integers(const data::SafetensorsFile& file, const std::string& name);

LanguageModel tiny_llama(Precision precision = Precision::kFp32, int threads = 1);

// Logits of every row of `input_ids`, which are all of one length.
std::vector<float> logits_of(const LanguageModel& model, const data::SafetensorsFile& expected);

// Rows of input_ids, attention_mask and labels with right padding, as examples; each is a record and a unit of its own.
data::DataSet data_set(const data::SafetensorsFile& file, const std::string& prefix);

// Every unit with all its records (at most 4).
privacy::SampledUnits all_units(const data::DataSet& data);

// Neither factor of any module is zero.
AdapterState scattered_adapter(const ModelConfig& config, const LoraPlan& plan);

double largest_difference(std::span<const float> a, std::span<const float> b);
// |a - b| / |b|, L2.
double relative_difference(std::span<const float> a, std::span<const float> b);
double norm(std::span<const float> a);

// Takes the vectors of whole trained units as they come.
class CollectingSink final : public privacy::UnitSink {
 public:
  CollectingSink(privacy::SampledUnits units, std::size_t dimension)
      : units_(std::move(units)), dimension_(dimension), gradients(units_.units().size()) {}
  const privacy::SampledUnits& units() const override { return units_; }
  std::size_t dimension() const override { return dimension_; }
  void add(std::size_t position, std::span<const float> gradient) override {
    CHECK(gradients.at(position).empty());  // exactly once
    gradients[position].assign(gradient.begin(), gradient.end());
  }

 private:
  privacy::SampledUnits units_;
  std::size_t dimension_;

 public:
  std::vector<std::vector<float>> gradients;
};

}  // namespace sotto::model
