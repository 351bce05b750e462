// Tensors beside those that the configuration asks for: used as transformers 5 uses them, known to be harmless, or refused by
// name; and numbers that are not finite.
#include <bit>
#include <cmath>
#include <limits>

#include "data/files/gguf_file.h"
#include "model/adapter/merged_folder.h"
#include "model/files/dequantize.h"
#include "model/files/fingerprint.h"
#include "tests/model/gguf_maker.h"
#include "tests/model/tiny_model.h"

namespace sotto::model {
namespace {

const std::vector<std::string> kFamilies = {"gemma2", "gpt2", "llama", "mistral", "qwen2", "qwen3"};

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a model that is said to be tied and has another head has its own head, in every family", "[model]") {
  for (const auto& name : kFamilies) {
    INFO(name);
    TinyModel model(name);
    const auto before = Checkpoint::open(model.write()).value();
    const std::string head = "lm_head.weight", was = before.config().tied_embeddings ? model.embedding : head;
    auto wanted = before.read(was);
    std::ranges::rotate(wanted, wanted.begin() + static_cast<std::ptrdiff_t>(before.config().hidden_size));
    model.tensors[head] = model.rolled_head();
    model.say_tied(true);
    const std::string path = model.write();
    const auto base = Checkpoint::open(path).value();
    CHECK_FALSE(base.config().tied_embeddings);
    CHECK(base.read(head) == wanted);
    CHECK(base.read(model.embedding) == before.read(model.embedding));
    CHECK_FALSE(checkpoint_config(path).value().tied_embeddings);
    const Adapter none;
    const auto merged = MergedModel::make(base, none).value();
    REQUIRE(write_merged_folder(path, merged, model.path("merged")).ok());
    CHECK(Checkpoint::open(model.path("merged")).value().read(head) == wanted);
    CHECK_FALSE(Json::read_file(model.path("merged/config.json"))->at("tie_word_embeddings").as_bool());
  }
}

TEST_CASE("a tied model whose head equals its embedding stays tied; the head alone is the embedding, too", "[model]") {
  for (const std::string name : {"gpt2", "llama"}) {
    INFO(name);
    TinyModel model(name);
    const auto before = Checkpoint::open(model.write()).value();
    model.tensors["lm_head.weight"] = model.tensors.at(model.embedding);
    CHECK(Checkpoint::open(model.write()).value().config().tied_embeddings);
    const std::string embedding = model.embedding;
    model.tensors.erase(embedding);
    CHECK(Checkpoint::open(model.write()).value().read(embedding) == before.read(embedding));
    model.tensors.erase("lm_head.weight");
    CHECK(says(model.refusal(), embedding));
  }
}

TEST_CASE("a head of another shape is refused by name", "[model]") {
  TinyModel model("llama");
  model.tensors["lm_head.weight"] = tensor_of({257, 64}, std::vector<float>(257 * 64));
  CHECK(says(model.refusal(), "lm_head.weight"));
}

TEST_CASE("the fingerprint tells a model with its own head from one without", "[model]") {
  TinyModel model("llama");
  const auto before = model_hash(model.write()).value();
  model.tensors["lm_head.weight"] = model.rolled_head();
  CHECK(model_hash(model.write()).value() != before);
}

TEST_CASE("a saved table of rotary frequencies is harmless only with the values that are computed", "[model]") {
  TinyModel model("llama");
  std::vector<float> frequencies;
  for (int e = 0; e < 8; ++e) frequencies.push_back(static_cast<float>(std::pow(10000.0, -e / 8.0)));
  const std::string name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  model.tensors[name] = tensor_of({8}, frequencies);
  CHECK(Checkpoint::open(model.write()).ok());
  frequencies[3] *= 2;
  model.tensors[name] = tensor_of({8}, frequencies);
  CHECK(says(model.refusal(), name));
  model.tensors[name] = tensor_of({4}, std::vector<float>(4));
  CHECK(says(model.refusal(), name));
}

TEST_CASE("GPT-2's saved mask is harmless only if it is the causal one", "[model]") {
  TinyModel model("gpt2");
  Tensor mask{data::SafetensorsType::kU8, {1, 1, 4, 4}, {1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1}};
  model.tensors["transformer.h.0.attn.bias"] = mask;
  model.tensors["transformer.h.0.attn.masked_bias"] = tensor_of({}, {-1e4F});
  CHECK(Checkpoint::open(model.write()).ok());
  mask.bytes[1] = 1;
  model.tensors["transformer.h.0.attn.bias"] = mask;
  CHECK(says(model.refusal(), "transformer.h.0.attn.bias"));
  model.tensors["transformer.h.0.attn.bias"] = tensor_of({64}, std::vector<float>(64));
  CHECK(says(model.refusal(), "transformer.h.0.attn.bias"));
}

TEST_CASE("biases, scales, norms and adapters that are not computed are refused by name", "[model]") {
  for (const std::string name :
       {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.down_proj.weight_scale", "lm_head.bias",
        "model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.q_proj.lora_A.weight", "weight",
        "model.layers.0.self_attn.sinks", "model.layers.0.attn.bias"}) {
    TinyModel model("llama");
    model.tensors[name] = tensor_of({64}, std::vector<float>(64));
    CHECK(says(model.refusal(), name));
  }
  TinyModel model("llama");
  REQUIRE(write_file_atomically(model.path("adapter_config.json"), std::string_view("{}")).ok());
  CHECK(says(model.refusal(), "adapter_config.json"));
}

TEST_CASE("a number that is not finite is refused by its tensor's name, in every number format", "[model]") {
  for (const auto& name : kFamilies) {  // fp32, fp16 and bf16 files
    INFO(name);
    TinyModel model(name);
    auto& [type, shape, bytes] = std::prev(model.tensors.end())->second;
    const std::size_t at = bytes.size() / 2 / 4 * 4;
    bytes[at] = bytes[at + 2] = 0xFF;
    bytes[at + 1] = bytes[at + 3] = 0x7F;  // a NaN in each of the three
    CHECK(says(model.refusal(), std::prev(model.tensors.end())->first));
  }
  TinyModel model("llama");
  auto& norm = model.tensors.at("model.norm.weight");
  const float infinite = -std::numeric_limits<float>::infinity();
  std::memcpy(norm.bytes.data() + 8, &infinite, sizeof infinite);
  CHECK(says(model.refusal(), "model.norm.weight has a number that is not finite"));
}

TEST_CASE("the scales of packed blocks are looked at, too", "[model]") {
  for (const std::size_t scale : {0U, 34U}) {
    GgufMaker maker;
    Bytes blocks(256 / 32 * 34);  // Q8_0
    blocks[scale + 1] = 0x7C;     // an infinite f16
    maker.tensor("output.weight", {32, 8}, 8, blocks);
    const auto opened = maker.open();
    REQUIRE_FALSE(opened.ok());
    CHECK(says(opened.error().message, "output.weight has a number that is not finite"));
  }
  const auto file = data::GgufFile::open(vector_path("gguf/quant_types.gguf")).value();
  for (const auto& tensor : file.tensors()) {
    INFO(tensor.name);
    const auto format = *format_of_gguf(tensor.type.id);
    const auto bytes = file.bytes(tensor);
    CHECK(all_finite(format, bytes));
    // Each two bytes set to an infinite f16 or its like: not finite where a decoded number is not.
    const auto block = block_size(format);
    for (std::size_t at = 0; at + 1 < block.bytes; at += 2) {
      Bytes changed(bytes.begin(), bytes.end());
      changed[at] = 0;
      changed[at + 1] = format == NumberFormat::kF32 ? 0 : format == NumberFormat::kBF16 ? 0xFF : 0x7C;
      if (format == NumberFormat::kBF16) changed[at] = 0x80;
      const auto values = to_floats(format, changed, tensor.elements);
      const bool finite = std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
      if (!finite) CHECK_FALSE(all_finite(format, changed));
      if (all_finite(format, changed)) CHECK(finite);
    }
  }
}

TEST_CASE("one part of a split GGUF file is named as such", "[model]") {
  GgufMaker maker;
  maker.uint("split.count", 3);
  maker.uint("split.no", 1);
  const auto opened = maker.open();
  REQUIRE_FALSE(opened.ok());
  CHECK(says(opened.error().message, "part 2 of 3"));
  GgufMaker whole;
  whole.uint("split.count", 1);
  CHECK(whole.open().ok());
}

}  // namespace sotto::model
