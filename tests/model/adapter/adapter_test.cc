#include <filesystem>

#include "base/files.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "model/files/checkpoint.h"
#include "tests/model/file_vectors.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

// Adapters that PEFT wrote for the tiny Llama.
const std::vector<std::string> kVariants = {"plain",      "rslora",      "dora",  "qv_patterns", "head",
                                            "saved_head", "saved_norms", "regex", "excluded",    "one_layer"};

LoraPlan plan_for(std::vector<std::string> targets) {
  LoraPlan plan;
  plan.rank = 4;
  plan.alpha = 8;
  plan.targets = std::move(targets);
  return plan;
}

}  // namespace

TEST_CASE("an adapter that PEFT wrote is saved again byte for byte", "[model]") {
  const auto config = tiny_llama_config();
  const TemporaryFolder scratch;
  for (const auto& variant : kVariants) {
    INFO(variant);
    const std::string source = vector_path("lora/" + variant);
    const auto adapter = load_peft_folder(source, config).value();
    const auto peft = read_peft_config(source + "/adapter_config.json").value();
    REQUIRE(save_peft_folder(scratch.file(variant), adapter, peft, config).ok());
    CHECK(load_peft_folder(scratch.file(variant), config).value() == adapter);
    for (const std::string file : {"/adapter_config.json", "/adapter_model.safetensors"})
      CHECK(read_binary_file(scratch.file(variant + file)).value() == read_binary_file(source + file).value());
  }
}

TEST_CASE("an adapter of a plan gets the configuration that PEFT would write for it", "[model]") {
  const auto config = tiny_llama_config();
  auto plan = plan_for({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"});
  plan.rslora = true;
  const auto text = [&] {
    return to_text(peft_config(plan, lora_layout(config, plan).value(), config, "../../tiny/llama"));
  };
  CHECK(text() == read_text_file(vector_path("lora/rslora/adapter_config.json")).value());
  plan.first_layer = 1;
  CHECK(text().find("\"layers_to_transform\": [\n    1\n  ]") != std::string::npos);
  plan.targets = {"model.layers.1.mlp.*", "v_proj"};
  plan.first_layer = 0;
  CHECK(text().find("\"model.layers.0.self_attn.v_proj\"") !=
        std::string::npos);  // no grid of kinds and layers: whole paths

  const TemporaryFolder scratch;
  const auto layout = lora_layout(config, plan).value();
  REQUIRE(save_peft_folder(scratch.path(), zero_adapter(layout), peft_config(plan, layout, config, "base"), config).ok());
  CHECK(load_peft_folder(scratch.path(), config).value().lora == zero_adapter(layout));
}

TEST_CASE("an adapter of GPT-2, whose c_proj stands twice in a layer, is configured as PEFT has it", "[model]") {
  const auto config = Checkpoint::open(vector_path("tiny/gpt2")).value().config();
  const auto targets = [&](std::vector<std::string> names) {
    const auto plan = plan_for(std::move(names));
    const auto peft = peft_config(plan, lora_layout(config, plan).value(), config, "base");
    CHECK(peft.json.at("fan_in_fan_out").as_bool());
    const TemporaryFolder scratch;
    const auto adapter = zero_adapter(lora_layout(config, plan).value());
    REQUIRE(save_peft_folder(scratch.path(), adapter, peft, config).ok());
    CHECK(load_peft_folder(scratch.path(), config).value().lora == adapter);
    return peft.json.at("target_modules").dump();
  };
  CHECK(targets({"c_attn", "c_proj"}) == R"(["c_attn","c_proj"])");
  CHECK(targets({"attn.c_proj", "c_fc"}) == R"(["attn.c_proj","mlp.c_fc"])");
  CHECK(lora_layout(config, plan_for({"c_proj"})).value().modules.size() == 2 * config.layers);
  CHECK(lora_layout(config, plan_for({"mlp.c_proj"})).value().modules.size() == config.layers);
  CHECK(lora_layout(config, plan_for({"q_proj"})).error().message.find("c_attn, c_proj, c_fc") != std::string::npos);
  CHECK(lora_layout(config, plan_for({"proj"})).error().message.find("\"proj\" matches no linear layer") !=
        std::string::npos);
}

TEST_CASE("adapters that this version would compute wrongly are refused by the setting's name", "[model]") {
  const auto config = tiny_llama_config();
  const TemporaryFolder scratch;
  std::filesystem::copy(vector_path("lora/plain/adapter_model.safetensors"), scratch.file("adapter_model.safetensors"));
  const auto original = read_json("lora/plain/adapter_config.json");
  const auto refusal = [&](const std::string& field, const Json& value) {
    auto changed = original;
    changed.set(field, value);
    REQUIRE(write_file_atomically(scratch.file("adapter_config.json"), changed.dump()).ok());
    const auto loaded = load_peft_folder(scratch.path(), config);
    INFO(field << " = " << value.dump());
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().message.find(scratch.path()) == 0);
    return loaded.error().message;
  };
  for (const std::string name : {"lora_bias", "use_qalora", "layer_replication", "trainable_token_indices",
                                 "target_parameters", "alora_invocation_tokens", "a_field_of_tomorrow"})
    CHECK(refusal(name, Json::array({1})).find(name) != std::string::npos);
  CHECK(refusal("peft_type", "LOHA").find("LOHA") != std::string::npos);
  CHECK(refusal("peft_type", 1).find("peft_type = 1") != std::string::npos);
  CHECK(refusal("init_lora_weights", "pissa").find("init_lora_weights") != std::string::npos);
  CHECK(refusal("bias", "some").find("bias = \"some\"") != std::string::npos);
  CHECK(refusal("use_dora", "yes").find("use_dora") != std::string::npos);
  CHECK(refusal("use_dora", true).find("lora_magnitude_vector is missing") != std::string::npos);
  CHECK(refusal("modules_to_save", Json::array({"lm_head"})).find("base_model.model.lm_head.weight is missing") !=
        std::string::npos);
  CHECK(refusal("modules_to_save", Json::array({"lm_(head"})).find("modules_to_save") != std::string::npos);
  CHECK(refusal("modules_to_save", "lm_head").find("modules_to_save") != std::string::npos);
  CHECK(refusal("r", 3).find("shape [4, 64]") != std::string::npos);
  CHECK(refusal("r", 0).find("r = 0") != std::string::npos);
  CHECK(refusal("r", 4.5).find("r = 4.5") != std::string::npos);
  CHECK(refusal("lora_alpha", "x").find("lora_alpha") != std::string::npos);
  CHECK(refusal("rank_pattern", Json::object({{"layers.[01].mlp.*", 3}})).find("gate_proj.lora_A") != std::string::npos);
  CHECK(refusal("rank_pattern", Json::object({{"q_proj", 1.5}})).find("rank 1.5") != std::string::npos);
  CHECK(refusal("rank_pattern", Json::object({{"q_(proj", 2}})).find("rank_pattern") != std::string::npos);
  CHECK(refusal("alpha_pattern", Json::object({{"q_proj", "a"}})).find("alpha_pattern.q_proj") != std::string::npos);
  CHECK(refusal("target_modules", Json::array({"w_proj"})).find("w_proj") != std::string::npos);
  CHECK(refusal("target_modules", Json::array({"q_proj"})).find("down_proj.lora_A.weight belongs to no module") !=
        std::string::npos);
  CHECK(refusal("target_modules", nullptr).find("target_modules") != std::string::npos);
  CHECK(refusal("target_modules", Json::array({1})).find("target_modules has 1") != std::string::npos);
  CHECK(refusal("target_modules", "([a-z_.0-9]|[a-z_.0-9][a-z_.0-9])+[A-Z]").find("simpler expression") !=
        std::string::npos);
  CHECK(refusal("target_modules", std::string(5000, 'a')).find("5000 characters") != std::string::npos);
  CHECK(refusal("target_modules", std::string(200, '(')).find("target_modules") != std::string::npos);
  CHECK(refusal("layers_to_transform", Json::array({-1})).find("layers_to_transform has -1") != std::string::npos);
  CHECK_FALSE(load_peft_folder(scratch.file("nothing"), config).ok());
}

TEST_CASE("an adapter of another model is refused by the name of the tensor that does not fit", "[model]") {
  const auto fixture = Checkpoint::open(vector_path("fixture")).value();  // other intermediate size
  const auto loaded = load_peft_folder(vector_path("lora/plain"), fixture.config());
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message.find("proj.lora_") != std::string::npos);
}

TEST_CASE("a layout has the plan's modules of the plan's layers in the model's order", "[model]") {
  const auto config = tiny_llama_config();
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
  const auto config = tiny_llama_config();
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

TEST_CASE("the update vector is B by B, or A then B of each module, and goes back where it came from", "[model]") {
  const auto state = load_peft_folder(vector_path("lora/plain"), tiny_llama_config()).value().lora;
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
