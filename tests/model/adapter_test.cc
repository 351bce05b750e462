#include <filesystem>

#include "base/files.h"
#include "model/lora.h"
#include "model/peft_folder.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

// A folder of this test's own, gone afterwards.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name) : path_(std::filesystem::temp_directory_path() / ("sotto_model_" + name)) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  std::string path(const std::string& file = "") const { return (path_ / file).string(); }

 private:
  std::filesystem::path path_;
};

std::vector<float> logits_of(const LanguageModel& model, const data::SafetensorsFile& expected) {
  const auto ids = integers(expected, "input_ids");
  std::vector<float> logits;
  for (std::size_t row = 0; row < 2; ++row) {
    std::vector<std::int32_t> sequence;
    std::vector<std::uint32_t> rows;
    for (std::size_t t = 0; t < 16; ++t) {
      sequence.push_back(static_cast<std::int32_t>(ids[row * 16 + t]));
      rows.push_back(static_cast<std::uint32_t>(t));
    }
    const auto of_row = model.logits(sequence, rows).value();
    logits.insert(logits.end(), of_row.begin(), of_row.end());
  }
  return logits;
}

LoraPlan plan_for(std::vector<std::string> targets) {
  LoraPlan plan;
  plan.rank = 4;
  plan.alpha = 8;
  plan.targets = std::move(targets);
  return plan;
}

}  // namespace

TEST_CASE("an adapter that PEFT wrote gives PEFT's logits", "[model]") {
  auto model = tiny_llama();
  for (const std::string variant : {"plain", "rslora", "qv_patterns"}) {
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

TEST_CASE("an adapter is saved under PEFT's names and comes back as it was", "[model]") {
  const auto config = tiny_llama().config();
  const ScratchFolder scratch("peft");
  for (const std::string variant : {"plain", "rslora", "qv_patterns"}) {
    INFO(variant);
    const auto adapter = load_peft_folder(vector_path("lora/" + variant), config).value();
    REQUIRE(save_peft_folder(scratch.path(variant), adapter, "../tiny/llama").ok());
    const auto again = load_peft_folder(scratch.path(variant), config).value();
    CHECK(again.factors == adapter.factors);
    for (std::size_t m = 0; m < adapter.layout.modules.size(); ++m) {
      CHECK(again.layout.modules[m].path == adapter.layout.modules[m].path);
      CHECK(again.layout.modules[m].rank == adapter.layout.modules[m].rank);
      CHECK(again.layout.modules[m].scale == Approx(adapter.layout.modules[m].scale).epsilon(1e-12));
    }
    const auto ours = data::SafetensorsFile::open(scratch.path(variant + "/adapter_model.safetensors")).value();
    const auto theirs = read_safetensors("lora/" + variant + "/adapter_model.safetensors");
    CHECK(ours.tensors().size() == theirs.tensors().size());
    CHECK(ours.metadata().at("format") == "pt");
    for (const auto& tensor : theirs.tensors()) {
      const auto* mine = ours.find_tensor(tensor.name);
      REQUIRE(mine != nullptr);
      CHECK(mine->shape == tensor.shape);
      CHECK(floats(ours, tensor.name) == floats(theirs, tensor.name));
    }
  }
}

TEST_CASE("adapters that this version would compute wrongly are refused by the setting's name", "[model]") {
  const auto config = tiny_llama().config();
  CHECK(load_peft_folder(vector_path("lora/dora"), config).error().message.find("use_dora") != std::string::npos);
  const ScratchFolder scratch("refused");
  std::filesystem::copy(vector_path("lora/plain/adapter_model.safetensors"), scratch.path("adapter_model.safetensors"));
  const auto original = read_json("lora/plain/adapter_config.json");
  const auto refusal = [&](const std::string& field, const Json& value) {
    auto changed = original;
    changed.set(field, value);
    REQUIRE(write_file_atomically(scratch.path("adapter_config.json"), changed.dump()).ok());
    const auto loaded = load_peft_folder(scratch.path(), config);
    INFO(field << " = " << value.dump());
    REQUIRE_FALSE(loaded.ok());
    return loaded.error().message;
  };
  CHECK(refusal("bias", "all").find("bias") != std::string::npos);
  CHECK(refusal("peft_type", "LOHA").find("LOHA") != std::string::npos);
  CHECK(refusal("modules_to_save", Json::array({"lm_head"})).find("modules_to_save") != std::string::npos);
  CHECK(refusal("lora_bias", true).find("lora_bias") != std::string::npos);
  CHECK(refusal("r", 3).find("shape") != std::string::npos);
  CHECK(refusal("r", 0).find("r = 0") != std::string::npos);
  CHECK(refusal("lora_alpha", "x").find("lora_alpha") != std::string::npos);
  CHECK(refusal("rank_pattern", Json::object({{"layers.[01].mlp", 3}})).find("rank_pattern") != std::string::npos);
  CHECK_FALSE(load_peft_folder(scratch.path("nothing"), config).ok());
}

TEST_CASE("an adapter of another model is refused by the name of the tensor that does not fit", "[model]") {
  const auto fixture = LanguageModel::load(vector_path("fixture"), {.threads = 1}).value();  // other intermediate size
  const auto loaded = load_peft_folder(vector_path("lora/plain"), fixture.config());
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message.find("proj.lora_") != std::string::npos);

  auto model = tiny_llama();
  const auto state = load_peft_folder(vector_path("lora/plain"), model.config()).value();
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

TEST_CASE("a layout has the plan's modules of the plan's layers in the model's order", "[model]") {
  const auto config = tiny_llama().config();
  const auto layout = lora_layout(config, plan_for({"down_proj", "q_proj"})).value();
  REQUIRE(layout.modules.size() == 4);
  CHECK(layout.modules[0] == LoraModule{"model.layers.0.self_attn.q_proj", 64, 64, 4, 2.0});
  CHECK(layout.modules[3] == LoraModule{"model.layers.1.mlp.down_proj", 96, 64, 4, 2.0});
  auto upper = plan_for({"v_proj"});
  upper.first_layer = 1;
  upper.rslora = true;
  const auto v = lora_layout(config, upper).value();
  REQUIRE(v.modules.size() == 1);
  CHECK(v.modules[0] == LoraModule{"model.layers.1.self_attn.v_proj", 64, 32, 4, 4.0});
  CHECK(lora_layout(config, plan_for({"model.layers.*.mlp.*"})).value().modules.size() == 6);
  CHECK(lora_layout(config, plan_for({"model.layers.?.self_attn.k_proj"})).value().modules.size() == 2);
}

TEST_CASE("a plan whose adapter the model cannot have is refused by field and value", "[model]") {
  const auto config = tiny_llama().config();
  const auto message = [&](auto change) {
    auto plan = plan_for({"q_proj"});
    change(plan);
    const auto layout = lora_layout(config, plan);
    REQUIRE_FALSE(layout.ok());
    return layout.error().message;
  };
  CHECK(message([](LoraPlan& p) { p.targets = {"q_proj", "w_proj"}; }).find("\"w_proj\"") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.targets = {}; }).find("targets") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.rank = 0; }).find("rank = 0") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.rank = 65; }).find("rank = 65") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.alpha = std::nan(""); }).find("alpha") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.dropout = 1; }).find("dropout") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.first_layer = 2; }).find("first_layer = 2") != std::string::npos);
  CHECK(message([](LoraPlan& p) { p.first_layer = 1, p.last_layer = 0; }).find("last_layer = 0") != std::string::npos);
}

TEST_CASE("a summary says how little is trained and sent", "[model]") {
  const auto model = tiny_llama();
  const auto layout = lora_layout(model.config(), plan_for({"q_proj", "v_proj"})).value();
  const auto summary = summarize(model.config(), model.weight_bytes(), layout, TrainedPart::kB);
  CHECK(summary.trained_parameters == 2 * 4 * (64 + 32));
  CHECK(summary.adapter_parameters == 2 * 4 * (64 + 64 + 64 + 32));
  CHECK(summary.adapter_bytes == 4 * summary.adapter_parameters);
  // 256 x 64 embedding, and for each of 2 layers 64 x (64 + 64 + 32 + 32) of attention, 3 x 64 x 96, 2 norms; one last norm.
  CHECK(summary.model_parameters == 256 * 64 + 2 * (64 * 192 + 3 * 64 * 96 + 128) + 64);
  CHECK(summary.trained_percent() == Approx(100.0 * 768 / static_cast<double>(summary.model_parameters)));
  CHECK(summary.text().find("768 of ") == 0);
}

TEST_CASE("the update vector is B by B, or A then B of each module, and goes back where it came from", "[model]") {
  const auto state = load_peft_folder(vector_path("lora/plain"), tiny_llama().config()).value();
  const auto b = trained_vector(state, TrainedPart::kB), ab = trained_vector(state, TrainedPart::kAB);
  CHECK(b.size() == state.layout.b_size());
  CHECK(ab.size() == state.layout.a_size() + state.layout.b_size());
  CHECK(std::equal(state.factors[0].a.begin(), state.factors[0].a.end(), ab.begin()));
  CHECK(std::equal(state.factors[0].b.begin(), state.factors[0].b.end(), b.begin()));
  CHECK(with_trained(zero_adapter(state.layout), TrainedPart::kAB, ab).factors == state.factors);
  const auto only_b = with_trained(zero_adapter(state.layout), TrainedPart::kB, b);
  CHECK(only_b.factors[5].b == state.factors[5].b);
  CHECK(norm(only_b.factors[5].a) == 0);
}

}  // namespace sotto::model
