// Adapters, merged models and exports in a model that runs: the files alone are tested in tests/model/adapter.
#include <fstream>

#include "model/adapter/gguf_export.h"
#include "model/adapter/lora.h"
#include "model/adapter/merged_folder.h"
#include "model/adapter/peft_folder.h"
#include "tests/model/vectors.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

// Adapters that PEFT wrote for the tiny Llama.
const std::vector<std::string> kVariants = {"plain",      "rslora",      "dora",  "qv_patterns", "head",
                                            "saved_head", "saved_norms", "regex", "excluded",    "one_layer"};

struct MergedCase {
  std::string variant;  // of tests/vectors/lora
  std::string base;     // of tests/vectors/tiny
};
const std::vector<MergedCase> kCases = {{"plain", "llama"},
                                        {"rslora", "llama"},
                                        {"dora", "llama"},
                                        {"qv_patterns", "llama"},
                                        {"head", "llama"},
                                        {"saved_head", "llama"},
                                        {"saved_norms", "llama"},
                                        {"regex", "llama"},
                                        {"excluded", "llama"},
                                        {"one_layer", "llama"},
                                        {"bias_all", "qwen2"},
                                        {"bias_lora_only", "qwen2"},
                                        {"gpt2_dora", "gpt2"},
                                        {"gpt2_bias", "gpt2"},
                                        {"gemma2", "gemma2"},
                                        {"qwen3", "qwen3"},
                                        {"untied_head", "llama_untied_rope3"}};

LanguageModel loaded(const std::string& path) {
  return LanguageModel::load(path, {.precision = Precision::kFp32, .threads = 1}).value();
}

std::vector<float> logits_with(const std::string& model_path, const Adapter* adapter) {
  auto model = LanguageModel::load(model_path, {.precision = Precision::kFp32, .threads = 1}).value();
  if (adapter != nullptr) REQUIRE(model.set_adapter(*adapter).ok());
  return logits_of(model, read_safetensors("gguf_export/expected.safetensors"));
}

}  // namespace

TEST_CASE("an adapter that PEFT wrote gives PEFT's logits", "[model]") {
  auto model = tiny_llama();
  for (const auto& variant : kVariants) {
    INFO(variant);
    const auto expected = read_safetensors("lora/" + variant + "/expected.safetensors");
    model.clear_adapter();
    CHECK(largest_difference(logits_of(model, expected), floats(expected, "logits_base")) < 2e-4);
    const auto adapter = load_peft_folder(vector_path("lora/" + variant), model.config()).value();
    REQUIRE(model.set_adapter(adapter).ok());
    CHECK(largest_difference(logits_of(model, expected), floats(expected, "logits_adapter")) < 2e-4);
    CHECK(largest_difference(logits_of(model, expected), floats(expected, "logits_merged")) < 2e-4);
  }
}

TEST_CASE("an adapter that was broken after it was read is refused by the module at fault", "[model]") {
  auto model = tiny_llama();
  const auto state = load_peft_folder(vector_path("lora/plain"), model.config()).value().lora;
  const auto broken = [&](auto change) {
    auto copy = state;
    change(copy);
    const auto result = model.set_adapter(copy);
    REQUIRE_FALSE(result.ok());
    return result.error().message;
  };
  CHECK(broken([](AdapterState& s) { s.layout.modules[1].path = "model.layers.9.self_attn.q_proj"; }).find("layers.9") !=
        std::string::npos);
  CHECK(broken([](AdapterState& s) { s.layout.modules[2].rank = 0; }).find("rank 0") != std::string::npos);
  CHECK(broken([](AdapterState& s) { s.factors[3].b.pop_back(); }).find(".o_proj") != std::string::npos);
  CHECK(broken([](AdapterState& s) {
          std::swap(s.layout.modules[0], s.layout.modules[1]), std::swap(s.factors[0], s.factors[1]);
        }).find("order") != std::string::npos);
  CHECK(broken([](AdapterState& s) { s.factors.clear(); }).find("factors") != std::string::npos);
}

TEST_CASE("a summary says how little is trained and sent", "[model]") {
  const auto model = tiny_llama();
  LoraPlan plan;
  plan.rank = 4;
  plan.alpha = 8;
  plan.targets = {"q_proj", "v_proj"};
  const auto layout = lora_layout(model.config(), plan).value();
  const auto summary = summarize(model.config(), model.weight_bytes(), layout, TrainedPart::kB);
  CHECK(summary.trained_parameters == 2 * 4 * (64 + 32));
  CHECK(summary.adapter_parameters == 2 * 4 * (64 + 64 + 64 + 32));
  CHECK(summary.adapter_bytes == 4 * summary.adapter_parameters);
  // 256 x 64 embedding, and for each of 2 layers 64 x (64 + 64 + 32 + 32) of attention, 3 x 64 x 96, 2 norms; one last norm.
  CHECK(summary.model_parameters == 256 * 64 + 2 * (64 * 192 + 3 * 64 * 96 + 128) + 64);
  CHECK(summary.trained_percent() == Approx(100.0 * 768 / static_cast<double>(summary.model_parameters)));
  CHECK(summary.text().find("768 of ") == 0);
}

#if !defined(__SANITIZE_ADDRESS__)  // which keeps what was freed
TEST_CASE("swapping adapters on a loaded model does not make the process grow", "[model]") {
  auto model = tiny_llama();
  const Adapter adapters[] = {load_peft_folder(vector_path("lora/plain"), model.config()).value(),
                              load_peft_folder(vector_path("lora/saved_head"), model.config()).value()};
  const auto swap = [&](int count) {
    for (int i = 0; i < count; ++i) REQUIRE(model.set_adapter(adapters[i % 2]).ok());
  };
  const auto resident_bytes = [] {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4096;
  };
  swap(20);
  const auto before = resident_bytes();
  swap(1000);
  // A swap that left its adapter behind would add 1000 times their mean size: tens of megabytes.
  CHECK(adapters[0].bytes() + adapters[1].bytes() > 60'000);
  CHECK(resident_bytes() < before + (8U << 20U));
}
#endif

TEST_CASE("a merged model gives PEFT's merged logits and the adapter's own, for every kind of adapter", "[model]") {
  const TemporaryFolder scratch;
  for (const auto& [variant, arch] : kCases) {
    INFO(variant);
    const std::string base_path = vector_path("tiny/" + arch);
    const auto expected = read_safetensors("lora/" + variant + "/expected.safetensors");
    const auto base = Checkpoint::open(base_path).value();
    const auto adapter = load_peft_folder(vector_path("lora/" + variant), base.config()).value();
    const auto merged = MergedModel::make(base, adapter).value();
    REQUIRE(write_merged_folder(base_path, merged, scratch.file(variant)).ok());

    auto with_adapter = loaded(base_path);
    REQUIRE(with_adapter.set_adapter(adapter).ok());
    const auto live = logits_of(with_adapter, expected), folded = logits_of(loaded(scratch.file(variant)), expected);
    CHECK(largest_difference(live, floats(expected, "logits_adapter")) < 2e-4);
    CHECK(largest_difference(folded, floats(expected, "logits_merged")) < 2e-4);
    CHECK(largest_difference(folded, live) < 5e-5);
  }
}

TEST_CASE("adapters swap on one loaded base, which stays as it is and is not copied", "[model]") {
  auto model = tiny_llama();
  const auto bytes = model.weight_bytes();
  const auto base_embedding = model.logits(std::vector<std::int32_t>{1, 2, 3}, std::vector<std::uint32_t>{2}).value();
  std::vector<Adapter> adapters;
  for (const std::string variant : {"plain", "dora", "saved_head", "saved_norms"})
    adapters.push_back(load_peft_folder(vector_path("lora/" + variant), model.config()).value());
  std::vector<std::vector<float>> first;
  for (int round = 0; round < 3; ++round)
    for (std::size_t a = 0; a < adapters.size(); ++a) {
      REQUIRE(model.set_adapter(adapters[a]).ok());
      const auto logits = model.logits(std::vector<std::int32_t>{1, 2, 3}, std::vector<std::uint32_t>{2}).value();
      if (round == 0) first.push_back(logits);
      CHECK(logits == first[a]);
      CHECK(logits != base_embedding);
    }
  model.clear_adapter();
  CHECK(model.logits(std::vector<std::int32_t>{1, 2, 3}, std::vector<std::uint32_t>{2}).value() == base_embedding);
  CHECK(model.weight_bytes() == bytes);
}

TEST_CASE("an exported merged model gives the adapter's logits within its format's rounding", "[model]") {
  const std::string base_path = vector_path("fixture");
  const TemporaryFolder scratch;
  const auto base = Checkpoint::open(base_path).value();
  const auto adapter = load_peft_folder(vector_path("gguf_export/adapter"), base.config()).value();
  const auto merged = MergedModel::make(base, adapter).value();
  const auto expected = floats(read_safetensors("gguf_export/expected.safetensors"), "logits_adapter");
  CHECK(largest_difference(logits_with(base_path, &adapter), expected) < 2e-4);
  const std::pair<NumberFormat, double> formats[] = {
      {NumberFormat::kF32, 5e-5}, {NumberFormat::kF16, 2e-2}, {NumberFormat::kBF16, 1e-1}, {NumberFormat::kQ8_0, 2e-1}};
  for (const auto& [format, tolerance] : formats) {
    const std::string out = scratch.file("merged.gguf");
    REQUIRE(write_gguf(base_path, merged, out, format).ok());
    CHECK(largest_difference(logits_with(out, nullptr), expected) < tolerance);
  }
}

}  // namespace sotto::model
