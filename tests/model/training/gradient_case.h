// What the tests of per-unit gradients share.
#pragma once

#include "model/adapter/peft_folder.h"
#include "model/training/adapter_trainer.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"

namespace sotto::model::gradients {

// bf16 where the CPU has it, always fp32.
inline std::vector<Precision> precisions() {
  std::vector<Precision> all = {Precision::kFp32};
  if (LanguageModel::load(vector_path("tiny/llama"), {.precision = Precision::kBf16, .threads = 1}).ok())
    all.push_back(Precision::kBf16);
  return all;
}

inline std::vector<float> to_floats(const privacy::ClippedSum& sum) {
  std::vector<float> out;
  for (const auto v : sum.reveal_without_noise())
    out.push_back(static_cast<float>(static_cast<double>(v) * sum.grid().step()));
  return out;
}

// The reference's four samples on the tiny Llama, with its adapter.
struct Case {
  data::SafetensorsFile file = read_safetensors("dp/expected.safetensors");
  Json expected = read_json("dp/expected.json");
  data::DataSet data = data_set(file, "");
  AdapterState adapter = load_peft_folder(vector_path("dp/adapter"), tiny_llama().config()).value().lora;
};

inline std::vector<std::vector<float>> unit_gradients(AdapterTrainer& trainer, const data::DataSet& data,
                                                      RecordLoss loss = RecordLoss::kMean,
                                                      const DropoutStreams& streams = {}) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, loss, streams).ok());
  return sink.gradients;
}

// Examples of random tokens with `lengths`, one a unit.
inline data::DataSet random_data(std::span<const std::uint32_t> lengths, std::uint64_t seed) {
  FixedRandom random(seed);
  data::DataSet data;
  for (const auto length : lengths) {
    data::Example example;
    for (std::uint32_t t = 0; t < length; ++t) {
      example.ids.push_back(static_cast<std::int32_t>(random.below(256)));
      example.labels.push_back(t >= 1 && t + 6 > length ? example.ids.back() : data::kNoLabel);
    }
    data.units.push_back({"", {static_cast<std::uint32_t>(data.examples.size())}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

class SeededStreams {
 public:
  DropoutStreams streams() const {
    return [](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) {
      return std::make_unique<FixedRandom>(unit * 1000003ULL + record * 1009 + layer);
    };
  }
};

}  // namespace sotto::model::gradients
