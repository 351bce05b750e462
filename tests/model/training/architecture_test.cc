// Every architecture against the reference implementation: logits, hidden states, likelihoods, gradients; from a Hugging
// Face folder and from a GGUF file.
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "model/files/checkpoint.h"
#include "model/training/adapter_trainer.h"
#include "model/training/self_check.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

const std::vector<std::string> kTinyModels = {"gemma2", "gpt2", "llama", "llama_untied_rope3", "mistral", "qwen2", "qwen3"};

LanguageModel load(const std::string& path, Precision precision = Precision::kFp32) {
  return LanguageModel::load(path, {.precision = precision, .threads = 1}).value();
}

// The tokens of one row of expected.safetensors that its mask keeps; positions start at 0 in each.
struct Row {
  std::vector<std::int32_t> ids;
  std::vector<float> logits, hidden;  // of those tokens
  double loglik = 0;
};

std::vector<Row> expected_rows(const std::string& name) {
  const auto file = read_safetensors("tiny/" + name + "/expected.safetensors");
  const auto ids = integers(file, "input_ids"), mask = integers(file, "attention_mask");
  const auto logits = floats(file, "logits"), hidden = floats(file, "layer1_hidden");
  const auto loglik = file.bytes(*file.find_tensor("loglik"));
  const std::size_t columns = 40;
  std::vector<Row> rows(ids.size() / columns);
  const auto append = [&](std::vector<float>& to, const std::vector<float>& from, std::size_t i) {
    const auto width = static_cast<std::ptrdiff_t>(from.size() / ids.size()), at = static_cast<std::ptrdiff_t>(i) * width;
    to.insert(to.end(), from.begin() + at, from.begin() + at + width);
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (mask[i] == 0) continue;
    Row& row = rows[i / columns];
    row.ids.push_back(static_cast<std::int32_t>(ids[i]));
    append(row.logits, logits, i);
    append(row.hidden, hidden, i);
  }
  for (std::size_t r = 0; r < rows.size(); ++r) std::memcpy(&rows[r].loglik, loglik.data() + 8 * r, 8);
  return rows;
}

std::vector<std::uint32_t> positions(std::size_t count) {
  std::vector<std::uint32_t> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::uint32_t>(i);
  return all;
}

std::vector<float> all_logits(const LanguageModel& model, const std::vector<std::int32_t>& ids) {
  return model.logits(ids, positions(ids.size())).value();
}

std::vector<std::vector<float>> unit_gradients(AdapterTrainer& trainer, const data::DataSet& data) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean).ok());
  return sink.gradients;
}

}  // namespace

TEST_CASE("every architecture gives the reference's logits, hidden states and log-likelihoods in fp32", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    const auto model = load(vector_path("tiny/" + name));
    for (const auto& row : expected_rows(name)) {
      CHECK(largest_difference(all_logits(model, row.ids), row.logits) < 2e-4);  // the vectors' own tolerance
      CHECK(largest_difference(model.hidden_states(row.ids, 1).value(), row.hidden) < 2e-4);
      CHECK(model.score(row.ids).value().total == Approx(row.loglik).margin(1e-3));
    }
  }
}

TEST_CASE("every architecture stays within what 8 bits of each factor allow in bf16", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    auto loaded = LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kBf16, .threads = 1});
    if (!loaded.ok()) {
      WARN(loaded.error().message);
      return;
    }
    for (const auto& row : expected_rows(name)) CHECK(relative_difference(all_logits(*loaded, row.ids), row.logits) < 0.04);
  }
}

TEST_CASE("a GGUF file gives the logits of the folder that it was made from", "[model]") {
  const TemporaryFolder scratch;
  for (const auto& name : kTinyModels) {
    INFO(name);
    std::string folder = vector_path("tiny/" + name);
    if (name == "gemma2") {  // tests/vectors/tiny_gguf/SOURCE.md
      folder = scratch.path();
      auto config = read_json("tiny/gemma2/config.json");
      config.set("query_pre_attn_scalar", config.at("head_dim"));
      REQUIRE(write_file_atomically(folder + "/config.json", config.dump()).ok());
      std::filesystem::copy(vector_path("tiny/gemma2/model.safetensors"), folder + "/model.safetensors");
    }
    const auto from_folder = load(folder), from_gguf = load(vector_path("tiny_gguf/" + name + ".gguf"));
    CHECK(from_gguf.config().parameters() == from_folder.config().parameters());
    for (const auto& row : expected_rows(name))
      CHECK(largest_difference(all_logits(from_gguf, row.ids), all_logits(from_folder, row.ids)) < 2e-5);
  }
}

TEST_CASE("weights of both formats are the same numbers under the same names", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    const auto folder = Checkpoint::open(vector_path("tiny/" + name)).value();
    const auto gguf = Checkpoint::open(vector_path("tiny_gguf/" + name + ".gguf")).value();
    for (const auto& info : folder.weights()) {
      const auto whole = folder.read(info.name);
      CHECK(gguf.read(info.name) == whole);
      const std::uint64_t columns = whole.size() / info.shape[0];
      std::vector<float> some(3 * columns);
      folder.read_rows(info.name, 5, some);
      CHECK(std::equal(some.begin(), some.end(), whole.begin() + static_cast<std::ptrdiff_t>(5 * columns)));
      gguf.done_with(info.name);
      CHECK(gguf.read(info.name) == whole);
    }
  }
}

TEST_CASE("every architecture's per-unit gradients are autograd's, with PEFT's adapter on every linear layer", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    auto model = load(vector_path("tiny/" + name));
    const auto adapter = load_peft_folder(vector_path("tiny_gradients/" + name), model.config()).value().lora;
    REQUIRE(adapter.layout.modules.size() == linear_modules(model.config()).size());
    const auto file = read_safetensors("tiny_gradients/" + name + "/gradients.safetensors");
    auto trainer = AdapterTrainer::make(model, adapter, TrainedPart::kAB).value();
    const auto gradients = unit_gradients(trainer, data_set(file, ""));
    REQUIRE(gradients.size() == 2);
    for (std::size_t sample = 0; sample < gradients.size(); ++sample) {
      std::vector<float> expected;
      for (const auto& module : adapter.layout.modules)
        for (const std::string factor : {"A", "B"}) {
          const auto values = floats(
              file, "sample" + std::to_string(sample) + ".base_model.model." + module.path + ".lora_" + factor + ".weight");
          expected.insert(expected.end(), values.begin(), values.end());
        }
      CHECK(relative_difference(gradients[sample], expected) < 1e-5);
    }
  }
}

TEST_CASE("every architecture's gradients are the same bits in company, at one thread and at two", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    const auto file = read_safetensors("tiny_gradients/" + name + "/gradients.safetensors");
    const auto both = data_set(file, "");
    auto second = both;
    second.units = {both.units[1]};
    std::vector<float> reference;
    for (const int threads : {1, 2}) {
      auto model =
          LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kFp32, .threads = threads}).value();
      const auto adapter = load_peft_folder(vector_path("tiny_gradients/" + name), model.config()).value().lora;
      auto trainer = AdapterTrainer::make(model, adapter, TrainedPart::kAB).value();
      const auto alone = unit_gradients(trainer, second)[0];
      if (reference.empty()) reference = alone;
      CHECK(alone == reference);
      CHECK(unit_gradients(trainer, both)[1] == reference);
    }
    load(vector_path("tiny/" + name));  // one thread again
  }
}

TEST_CASE("every architecture passes the self-check, in fp32 and in bf16", "[model]") {
  for (const auto& name : kTinyModels)
    for (const auto precision : {Precision::kFp32, Precision::kBf16}) {
      INFO(name);
      auto loaded = LanguageModel::load(vector_path("tiny/" + name), {.precision = precision, .threads = 1});
      if (!loaded.ok()) continue;  // no bf16 on this CPU
      LoraPlan plan;
      plan.rank = 4;
      plan.targets = {"*"};
      const auto layout = lora_layout(loaded->config(), plan).value();
      FixedRandom random(21);
      const auto report = self_check(*loaded, layout, TrainedPart::kAB, privacy::ClipNorm(0.3), random);
      INFO((report.ok() ? report->text() : report.error().message));
      CHECK(report.ok());
    }
}

TEST_CASE("generation with kept keys and values goes on as scoring without them does, in every architecture", "[model]") {
  for (const auto& name : kTinyModels) {
    INFO(name);
    const auto model = load(vector_path("tiny/" + name));
    std::vector<std::vector<std::int32_t>> prompts;
    for (const auto& row : expected_rows(name)) prompts.push_back({row.ids.begin(), row.ids.begin() + 11});
    prompts.push_back({7});
    const auto made = model.generate(prompts, {.max_new_tokens = 14, .stop_ids = {}, .sampling = {}}).value();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      auto ids = prompts[i];
      for (const auto id : made[i]) {
        CHECK(model.score(ids, 1).value().top[0].id == id);
        ids.push_back(id);
      }
    }
  }
}

}  // namespace sotto::model
