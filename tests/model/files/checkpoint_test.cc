// Model files that are damaged, or say something that would change the result, are refused by name.
#include "model/files/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "data/files/gguf_file.h"
#include "model/files/dequantize.h"
#include "model/files/fingerprint.h"
#include "tests/model/file_vectors.h"
#include "tests/model/gguf_maker.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

class ScratchModel {
 public:
  ScratchModel() {
    for (const std::string file : {"config.json", "model.safetensors"})
      std::filesystem::copy(vector_path("tiny/llama/" + file), path(file));
  }
  std::string path(const std::string& file = "") const { return folder_.file(file); }
  void config(const std::string& field, const Json& value) const {
    auto json = read_json("tiny/llama/config.json");
    json.set(field, value);
    REQUIRE(write_file_atomically(path("config.json"), json.dump()).ok());
  }
  std::string refusal() const {
    const auto opened = Checkpoint::open(path());
    REQUIRE_FALSE(opened.ok());
    return opened.error().message;
  }

 private:
  TemporaryFolder folder_;
};

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

std::string refusal(GgufMaker& maker, const std::string& architecture = "llama") {
  const auto opened = maker.open(architecture);
  REQUIRE_FALSE(opened.ok());
  return opened.error().message;
}

}  // namespace

TEST_CASE("weights are dequantised as the reference does, in every number format that is read", "[model]") {
  const auto file = data::GgufFile::open(vector_path("gguf/quant_types.gguf")).value();
  const auto expected = read_safetensors("quant_types/expected.safetensors");
  CHECK(file.tensors().size() == 14);
  for (const auto& tensor : file.tensors()) {
    INFO(tensor.name);
    const auto format = format_of_gguf(tensor.type.id);
    REQUIRE(format);
    CHECK(tensor.size == tensor.elements / block_size(*format).elements * block_size(*format).bytes);
    const auto ours = to_floats(*format, file.bytes(tensor), tensor.elements), reference = floats(expected, tensor.name);
    REQUIRE(ours.size() == reference.size());
    for (std::size_t i = 0; i < ours.size(); ++i)  // exact, or one unit in the last place
      CHECK((ours[i] == reference[i] || std::nextafter(ours[i], reference[i]) == reference[i]));
  }
}

TEST_CASE("half precision is read with its subnormals and infinities", "[model]") {
  CHECK(half_to_float(0x3C00) == 1.0F);
  CHECK(half_to_float(0xC000) == -2.0F);
  CHECK(half_to_float(0x7BFF) == 65504.0F);
  CHECK(half_to_float(0x0001) == 0x1p-24F);
  CHECK(half_to_float(0x0400) == 0x1p-14F);
  CHECK(std::signbit(half_to_float(0x8000)));
  CHECK(std::isinf(half_to_float(0xFC00)));
  CHECK(std::isnan(half_to_float(0x7C01)));
}

TEST_CASE("other architectures and settings that would change the result are refused by name", "[model]") {
  const ScratchModel scratch;
  const auto with = [&](const std::string& field, const Json& value) {
    scratch.config(field, value);
    return scratch.refusal();
  };
  CHECK(says(with("attention_bias", true), "attention_bias"));
  CHECK(says(with("mlp_bias", true), "mlp_bias"));
  CHECK(says(with("hidden_act", "gelu"), "hidden_act"));
  CHECK(says(with("sliding_window", 16), "sliding_window"));
  CHECK(says(with("rope_scaling", Json::object({{"rope_type", "linear"}, {"factor", 2.0}})), "rope_scaling"));
  CHECK(says(with("rope_parameters", Json::object({{"rope_theta", 1e4}, {"rope_type", "yarn"}})), "\"yarn\""));
  CHECK(says(with("partial_rotary_factor", 0.5), "partial_rotary_factor"));
  CHECK(says(with("quantization_config", Json::object({{"bits", 4}})), "quantization_config"));
  CHECK(says(with("model_type", "mamba"), "\"mamba\""));
  for (const auto* type : {"linear", "dynamic", "yarn", "longrope"})
    CHECK(says(with("rope_scaling", Json::object({{"type", type}, {"factor", 2.0}})), type));
  CHECK(says(with("rope_parameters", Json::object({{"full_attention", Json::object({{"rope_theta", 1e4}})}})),
             "full_attention"));
  CHECK(says(with("rope_parameters", Json::object({{"rope_type", "llama3"}, {"rope_theta", 1e4}})), "factor"));
  CHECK(says(with("num_local_experts", 8), "num_local_experts"));
  CHECK(says(with("attn_logit_softcapping", 50.0), "attn_logit_softcapping"));
}

TEST_CASE("settings of one architecture that another one lacks are refused by name", "[model]") {
  const auto refused = [](const std::string& name, const std::string& field, const Json& value) {
    auto json = read_json("tiny/" + name + "/config.json");
    json.set(field, value);
    const auto result = model_config(json, name);
    REQUIRE_FALSE(result.ok());
    CHECK(says(result.error().message, field));
  };
  refused("gpt2", "scale_attn_by_inverse_layer_idx", true);
  refused("gpt2", "scale_attn_weights", false);
  refused("gpt2", "add_cross_attention", true);
  refused("gpt2", "activation_function", "relu");
  refused("gemma2", "hidden_activation", "gelu");
  refused("gemma2", "use_bidirectional_attention", true);
  refused("gemma2", "layer_types", Json::array({"full_attention"}));
  refused("gemma2", "layer_types", Json::array({"full_attention", "chunked_attention"}));
  refused("gemma2", "query_pre_attn_scalar", "many");
  refused("qwen3", "attention_bias", true);
  refused("qwen2", "hidden_act", "relu");
  refused("mistral", "layer_types", Json::array({"full_attention", "full_attention"}));
}

TEST_CASE("each architecture's window is on the layers that transformers puts it on", "[model]") {
  const auto config = [](const std::string& name, const std::vector<std::pair<std::string, Json>>& fields) {
    auto json = read_json("tiny/" + name + "/config.json");
    json.set("layer_types", nullptr);
    for (const auto& [field, value] : fields) json.set(field, value);
    return model_config(json, name).value();
  };
  using Layers = std::vector<bool>;
  CHECK(config("mistral", {}).sliding_layers == Layers{true, true});
  CHECK(config("mistral", {{"sliding_window", nullptr}}).sliding_window == 0);
  CHECK(config("gemma2", {}).sliding_layers == Layers{true, false});
  CHECK(config("qwen2", {{"sliding_window", 8}}).sliding_window == 0);
  const auto upper = config("qwen2", {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 1}});
  CHECK(upper.sliding_layers == Layers{false, true});
  CHECK(upper.sliding_window == 8);
}

TEST_CASE("Llama 3's scaling of rotary frequencies is read in its old and its new spelling", "[model]") {
  auto json = read_json("tiny/llama_untied_rope3/config.json");
  const auto now = model_config(json, "x").value();
  CHECK(now.rope_divisors.size() == 8);
  CHECK(now.rope_divisors.front() == 1);
  CHECK(now.rope_divisors.back() == 8);
  auto old = json.at("rope_parameters");
  json.set("rope_theta", old.at("rope_theta")).set("rope_parameters", nullptr);
  old.set("rope_theta", nullptr);
  json.set("rope_scaling", old);
  CHECK(model_config(json, "x").value() == now);
}

TEST_CASE("rope_theta is read in its old and its new spelling", "[model]") {
  auto json = read_json("tiny/llama/config.json");
  CHECK(model_config(json, "x").value().rope_theta == 10000.0);
  json.set("rope_parameters", nullptr).set("rope_theta", 250000.0).set("rope_scaling", nullptr);
  CHECK(model_config(json, "x").value().rope_theta == 250000.0);
}

TEST_CASE("a configuration that no model has is refused by the number", "[model]") {
  const ScratchModel scratch;
  const auto with = [&](const std::string& field, const Json& value) {
    scratch.config(field, value);
    return scratch.refusal();
  };
  CHECK(says(with("hidden_size", 0), "hidden size"));
  CHECK(says(with("num_hidden_layers", -1), "num_hidden_layers"));
  CHECK(says(with("num_hidden_layers", 5000), "number of layers"));
  CHECK(says(with("num_key_value_heads", 3), "evenly"));
  CHECK(says(with("head_dim", 15), "odd"));
  CHECK(says(with("rms_norm_eps", 2.0), "epsilon"));
  CHECK(says(with("vocab_size", "many"), "vocab_size"));
  CHECK(says(with("vocab_size", 255), "model.embed_tokens.weight"));
  CHECK(says(with("intermediate_size", 95), "mlp.gate_proj.weight"));
  CHECK(says(with("num_hidden_layers", 3), "model.layers.2.input_layernorm.weight"));
  CHECK(says(with("num_hidden_layers", 1), "model.layers.1."));
}

TEST_CASE("a folder whose weights are missing, cut off or not JSON gives one clear error", "[model]") {
  const ScratchModel scratch;
  const auto whole = read_binary_file(scratch.path("model.safetensors")).value();
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    REQUIRE(write_file_atomically(scratch.path("model.safetensors"), ByteSpan(whole).first(size)).ok());
    CHECK(says(scratch.refusal(), "model.safetensors"));
  }
  std::filesystem::remove(scratch.path("model.safetensors"));
  CHECK(says(scratch.refusal(), "model.safetensors"));
  std::ofstream(scratch.path("model.safetensors.index.json")) << "{}";
  CHECK(says(scratch.refusal(), "weight_map"));
  std::ofstream(scratch.path("config.json")) << "{";
  CHECK(says(scratch.refusal(), "config.json"));
  CHECK_FALSE(Checkpoint::open(scratch.path("nothing")).ok());
}

// The tiny Llama's tensors, every second one in a second file.
void split_weights(const ScratchModel& scratch) {
  const auto whole = read_safetensors("tiny/llama/model.safetensors");
  std::vector<data::SafetensorsTensor> parts[2];
  Json map = Json::object();
  for (const auto& tensor : whole.tensors()) {
    const std::size_t shard = map.members().size() % 2;
    parts[shard].push_back({tensor.name, tensor.type, tensor.shape, whole.bytes(tensor)});
    map.set(tensor.name, shard == 0 ? "a.safetensors" : "b.safetensors");
  }
  for (const std::size_t shard : {0U, 1U})
    REQUIRE(write_file_atomically(scratch.path(shard == 0 ? "a.safetensors" : "b.safetensors"),
                                  ByteSpan(data::encode_safetensors(parts[shard])))
                .ok());
  std::filesystem::remove(scratch.path("model.safetensors"));
  REQUIRE(
      write_file_atomically(scratch.path("model.safetensors.index.json"), Json::object({{"weight_map", map}}).dump()).ok());
}

TEST_CASE("weights that are split over several files are the same weights", "[model]") {
  const ScratchModel scratch;
  split_weights(scratch);
  const auto split = Checkpoint::open(scratch.path()).value(), whole = Checkpoint::open(vector_path("tiny/llama")).value();
  for (const auto& info : whole.weights()) CHECK(split.read(info.name) == whole.read(info.name));
  CHECK(model_hash(scratch.path()).ok());
  std::filesystem::copy(scratch.path("a.safetensors"), scratch.path("c.safetensors"));
  const auto index = [&](const Json& file) {
    const Json map = Json::object({{"x", "a.safetensors"}, {"y", "b.safetensors"}, {"z", file}});
    REQUIRE(write_file_atomically(scratch.path("model.safetensors.index.json"), Json::object({{"weight_map", map}}).dump())
                .ok());
    return scratch.refusal();
  };
  CHECK(says(index("c.safetensors"), "in another file"));
  for (const auto* outside : {"../a.safetensors", "/etc/a.safetensors", "a.bin", "."})
    CHECK(says(index(outside), "same folder"));
  CHECK(says(index(7), "same folder"));
  std::filesystem::remove(scratch.path("b.safetensors"));
  CHECK(says(index("a.safetensors"), "b.safetensors"));
}

TEST_CASE("a GGUF file that is cut off anywhere is refused", "[model]") {
  GgufMaker maker;
  REQUIRE(maker.open().ok());
  const std::string path = maker.path();
  const auto whole = read_binary_file(path).value();
  for (std::size_t size = 0; size + 32 < whole.size(); size += 997) {
    REQUIRE(write_file_atomically(path, ByteSpan(whole).first(size)).ok());
    CHECK_FALSE(Checkpoint::open(path).ok());
  }
}

TEST_CASE("a GGUF file of another kind is refused by the key or tensor that says so", "[model]") {
  {
    GgufMaker m;
    CHECK(says(refusal(m, "mamba"), "\"mamba\""));
  }
  {
    GgufMaker m;
    m.text("llama.rope.scaling.type", "yarn");
    CHECK(says(refusal(m), "\"yarn\""));
  }
  {
    GgufMaker m;
    m.uint("llama.expert_count", 8);
    CHECK(says(refusal(m), "llama.expert_count"));
  }
  {
    GgufMaker m;
    m.uint("llama.rope.dimension_count", 8);
    CHECK(says(refusal(m), "llama.rope.dimension_count"));
  }
  {
    GgufMaker m;
    m.uint("llama.attention.head_count_kv", 0);
    CHECK(says(refusal(m), "key/value heads"));
  }
  {
    GgufMaker m;
    m.tensor("rope_freqs.weight", {7});
    CHECK(says(refusal(m), "rope_freqs.weight"));
  }
  {
    GgufMaker m;
    m.tensor("rope_freqs.weight", {8});
    CHECK(says(refusal(m), "divisors"));  // zeros
  }
  {
    GgufMaker m;
    m.number("llama.logit_scale", 0.25F);
    CHECK(says(refusal(m), "llama.logit_scale"));
  }
  {
    GgufMaker m;
    m.uint("llama.something_new", 1);
    CHECK(says(refusal(m), "llama.something_new"));
  }
  {
    GgufMaker m;
    m.tensor("blk.0.attn_q.bias", {32});
    CHECK(says(refusal(m), "blk.0.attn_q.bias"));
  }
  {
    GgufMaker m;
    m.tensor("output.weight", {32, 8}, 16, 1);
    CHECK_FALSE(m.open().ok());
  }
  {
    GgufMaker m;
    m.tensor("output.weight", {32, 9});
    CHECK(says(refusal(m), "output.weight"));
  }
  {
    GgufMaker m;
    m.tensor("output.weight", {32, 8}, 24, 1);
    CHECK(says(refusal(m), "I8"));
  }
  {
    GgufMaker m;
    m.tensor("output.weight", {32, 8});
    CHECK_FALSE(m.open().value().config().tied_embeddings);
  }
}

}  // namespace sotto::model
