// Soft prompts against PEFT's, and the sums of a private step over them.
#include "base/files.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "model/training/adapter_trainer.h"
#include "model/training/self_check.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

struct Case {
  explicit Case(const std::string& name)
      : folder(vector_path("prompt/" + name)),
        model(LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kFp32, .threads = 1}).value()),
        prompt(load_peft_folder(folder, model.config()).value()),
        file(read_safetensors("prompt/" + name + "/expected.safetensors")) {
    const auto ids = integers(file, "ids"), lengths = integers(file, "lengths");
    for (std::uint32_t i = 0; i < lengths.size(); ++i) {
      data::Example example;
      for (std::int64_t t = 0; t < lengths[i]; ++t) {
        example.ids.push_back(static_cast<std::int32_t>(ids[i * 14 + static_cast<std::size_t>(t)]));
        example.labels.push_back(t < 4 ? data::kNoLabel : example.ids.back());
      }
      data.units.push_back({"", {i}});
      data.examples.push_back(std::move(example));
    }
  }
  std::string folder;
  LanguageModel model;
  Adapter prompt;
  data::SafetensorsFile file;
  data::DataSet data;
};

const std::vector<std::string> kModels = {"llama", "gemma2", "gpt2"};

std::vector<std::vector<float>> gradients(AdapterTrainer& trainer, const data::DataSet& data) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean).ok());
  return sink.gradients;
}

}  // namespace

TEST_CASE("logits, losses and greedy tokens behind a soft prompt are PEFT's", "[model]") {
  for (const auto& name : kModels) {
    INFO(name);
    Case c(name);
    REQUIRE(c.model.set_adapter(c.prompt).ok());
    std::vector<std::uint32_t> rows(14);
    for (std::uint32_t r = 0; r < rows.size(); ++r) rows[r] = r;
    CHECK(largest_difference(c.model.logits(c.data.examples[0].ids, rows).value(), floats(c.file, "logits")) < 2e-4);
    const auto losses = c.model.evaluate(c.data.examples).value();
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(losses[i].loss_sum / losses[i].tokens ==
            Approx(static_cast<double>(floats(c.file, "loss." + std::to_string(i))[0])).epsilon(1e-5));
    const std::vector<std::int32_t> start(c.data.examples[1].ids.begin(), c.data.examples[1].ids.begin() + 6);
    const auto made =
        c.model.generate(std::span(&start, 1), {.max_new_tokens = 8, .stop_ids = {}, .sampling = {}}).value()[0];
    const auto expected = integers(c.file, "greedy");
    for (std::size_t t = 0; t < made.size(); ++t) CHECK(made[t] == expected[6 + t]);
  }
}

TEST_CASE("each record's gradient by the soft prompt is PEFT's", "[model]") {
  for (const auto& name : kModels) {
    INFO(name);
    Case c(name);
    auto trainer = AdapterTrainer::make(c.model, c.prompt.lora, TrainedPart::kPrompt).value();
    const auto found = gradients(trainer, c.data);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(relative_difference(found[i], floats(c.file, "gradient." + std::to_string(i))) < 1e-4);
  }
}

TEST_CASE("a unit's integers by a soft prompt are the same alone and in company", "[model]") {
  Case c("llama");
  auto trainer = AdapterTrainer::make(c.model, c.prompt.lora, TrainedPart::kPrompt).value();
  const privacy::Grid grid(privacy::ClipNorm(0.05), trainer.dimension());
  std::vector<std::int64_t> alone(grid.dimension());
  for (const auto& unit : c.data.units) {
    data::DataSet one;
    one.examples = c.data.examples;
    one.units = {unit};
    const auto sum = trainer.clipped_sum(one, all_units(one), grid).value();
    for (std::size_t i = 0; i < alone.size(); ++i) alone[i] += sum.reveal_without_noise()[i];
  }
  CHECK(trainer.clipped_sum(c.data, all_units(c.data), grid)->reveal_without_noise() == alone);
}

TEST_CASE("the self-check passes for a soft prompt", "[model]") {
  Case c("llama");
  FixedRandom random(5);
  AdapterLayout layout;
  layout.prompt = {7, c.model.config().hidden_size, 0.1};
  const auto report = self_check(c.model, layout, TrainedPart::kPrompt, privacy::ClipNorm(0.3), random);
  REQUIRE(report.ok());
  CHECK(report->relative_difference < report->tolerance);
}

TEST_CASE("a soft prompt is written as PEFT writes it", "[model]") {
  Case c("llama");
  TemporaryFolder scratch;
  REQUIRE(save_adapter_folder(scratch.path(), c.prompt.lora, {{}, "tests/vectors/tiny/llama"}, c.model.config()).ok());
  for (const std::string file : {"/adapter_config.json", "/adapter_model.safetensors"})
    CHECK(read_binary_file(scratch.path() + file).value() == read_binary_file(c.folder + file).value());
}

TEST_CASE("soft prompts that do not fit the model are refused by name", "[model]") {
  Case c("llama");
  auto wide = c.prompt;
  wide.lora.layout.prompt.width = 65;
  CHECK(c.model.set_adapter(wide).error().message.find("65") != std::string::npos);
  REQUIRE(c.model.set_adapter(c.prompt).ok());
  const std::vector<std::int32_t> full(c.model.config().max_positions - 4, 1);
  CHECK(c.model.score(full).error().message.find("prompt is 5") != std::string::npos);
  RunPlan plan;
  plan.trained = TrainedPart::kPrompt;
  plan.prompt.tokens = c.model.config().max_positions;
  CHECK(adapter_layout(c.model.config(), plan).error().message.find("prompt.tokens") != std::string::npos);
}

}  // namespace sotto::model
