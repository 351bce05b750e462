// What runs in a model, as expected values have it.
#pragma once

#include <string>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"
#include "privacy/mechanism/grid.h"
#include "privacy/mechanism/sampler.h"
#include "tests/model/file_vectors.h"

namespace sotto::model {

LanguageModel tiny_llama(Precision precision = Precision::kFp32, int threads = 1);

// Logits of every row of `input_ids`, which are all of one length.
std::vector<float> logits_of(const LanguageModel& model, const data::SafetensorsFile& expected);

// Rows of input_ids, attention_mask and labels with right padding, as examples; each is a record and a unit of its own.
data::DataSet data_set(const data::SafetensorsFile& file, const std::string& prefix);

// Every unit with all its records (at most 4).
privacy::SampledUnits all_units(const data::DataSet& data);

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
