// DoRA's gradients and steps against PEFT's.
#include "model/adapter/peft_folder.h"
#include "model/training/adapter_trainer.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

const std::vector<std::string> kModels = {"gpt2", "llama", "qwen2"};

struct Case {
  explicit Case(const std::string& name)
      : file(read_safetensors("dora_gradients/" + name + "/gradients.safetensors")),
        model(LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kFp32, .threads = 1}).value()),
        adapter(load_peft_folder(vector_path("dora_gradients/" + name), model.config()).value()),
        data(data_set(file, "")) {}

  // <prefix><PEFT's tensor name> in the order of the trained numbers.
  std::vector<float> expected(const std::string& prefix, TrainedPart part) const {
    std::vector<float> out;
    const auto add = [&](const LoraModule& module, const std::string& suffix) {
      const auto values = floats(file, prefix + "base_model.model." + module.path + suffix);
      out.insert(out.end(), values.begin(), values.end());
    };
    for (const auto& module : adapter.lora.layout.modules) {
      if (part == TrainedPart::kAB) add(module, ".lora_A.weight");
      add(module, ".lora_B.weight");
    }
    for (const auto& module : adapter.lora.layout.modules) add(module, ".lora_magnitude_vector");
    return out;
  }

  data::SafetensorsFile file;
  LanguageModel model;
  Adapter adapter;
  data::DataSet data;
};

std::vector<std::vector<float>> gradients(AdapterTrainer& trainer, const data::DataSet& data,
                                          const DropoutStreams& streams = {}) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean, streams).ok());
  return sink.gradients;
}

// The rule of tests/vectors/dora_gradients/make.py.
class RuledStream final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& byte : out) {
      byte = static_cast<std::uint8_t>((73 * at_ * at_ + 41 * at_ + 7) % 251);
      ++at_;
    }
  }

 private:
  std::uint64_t at_ = 0;
};

}  // namespace

TEST_CASE("DoRA's gradients of A, B and magnitude are PEFT's, sample by sample", "[model]") {
  for (const auto& name : kModels)
    for (const auto part : {TrainedPart::kAB, TrainedPart::kB}) {
      INFO(name);
      Case c(name);
      auto trainer = AdapterTrainer::make(c.model, c.adapter, part).value();
      const auto ours = gradients(trainer, c.data);
      REQUIRE(ours.size() == 2);
      for (std::size_t i = 0; i < 2; ++i)
        CHECK(largest_difference(ours[i], c.expected("sample" + std::to_string(i) + ".", part)) < 1e-5);
    }
}

TEST_CASE("DoRA's gradients under dropout are PEFT's", "[model]") {
  const DropoutStreams streams = [](std::uint32_t, std::uint32_t, std::uint32_t) { return std::make_unique<RuledStream>(); };
  for (const auto& name : kModels) {
    INFO(name);
    Case c(name);
    auto trainer = AdapterTrainer::make(c.model, c.adapter, TrainedPart::kAB, 0.25).value();
    CHECK(largest_difference(gradients(trainer, c.data, streams)[0], c.expected("dropped.", TrainedPart::kAB)) < 1e-5);
  }
}

TEST_CASE("DoRA begins with PEFT's magnitudes and three steps of AdamW end where PEFT ends", "[model]") {
  for (const auto& name : kModels) {
    INFO(name);
    Case c(name);
    auto zero = c.adapter.lora;
    for (auto& factor : zero.factors) std::ranges::fill(factor.b, 0.0F);
    const auto start = c.model.as_dora(zero).value();
    REQUIRE(start.magnitudes.size() == zero.layout.modules.size());
    for (std::size_t m = 0; m < start.magnitudes.size(); ++m)
      CHECK(largest_difference(start.magnitudes[m], floats(c.file, "start.base_model.model." + zero.layout.modules[m].path +
                                                                       ".lora_magnitude_vector")) < 1e-5);
    auto trainer = AdapterTrainer::make(c.model, c.adapter, TrainedPart::kAB).value();
    Optimizer optimizer(OptimizerPlan{}, trainer.dimension());
    for (int step = 0; step < 3; ++step) {
      auto mean = gradients(trainer, c.data);
      for (std::size_t i = 0; i < mean[0].size(); ++i) mean[0][i] = (mean[0][i] + mean[1][i]) / 2;
      trainer.step(optimizer, mean[0], 0.01);
    }
    // AdamW divides by |g|: where a gradient is as small as its rounding, its step is not determined better than this.
    CHECK(relative_difference(trained_vector(trainer.adapter(), TrainedPart::kAB), c.expected("after3.", TrainedPart::kAB)) <
          1e-4);
  }
}

TEST_CASE("DoRA is trained without privacy alone", "[model]") {
  Case c("llama");
  auto trainer = AdapterTrainer::make(c.model, c.adapter, TrainedPart::kB).value();
  const auto refusal =
      trainer.clipped_sum(c.data, all_units(c.data), privacy::Grid(privacy::ClipNorm(1.0), trainer.dimension()));
  REQUIRE_FALSE(refusal.ok());
  CHECK(refusal.error().message.find("DoRA is not trained under privacy") != std::string::npos);
  CHECK(trainer.unclipped_sum(c.data, all_units(c.data)).ok());
  CHECK_FALSE(trainer.set_adapter(c.adapter.lora).ok());  // plain LoRA in its place
  auto saved = load_peft_folder(vector_path("lora/saved_norms"), c.model.config()).value();
  CHECK(AdapterTrainer::make(c.model, saved, TrainedPart::kB).error().message.find("as a whole") != std::string::npos);
}

}  // namespace sotto::model
