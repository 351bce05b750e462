#include <filesystem>
#include <limits>

#include "base/files.h"
#include "model/adapter/merged_folder.h"
#include "model/adapter/peft_folder.h"
#include "tests/model/file_vectors.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

const Adapter kNoAdapter;

std::string file_of(const std::string& folder, const std::string& name) {
  return read_text_file(folder + "/" + name).value();
}

}  // namespace

TEST_CASE("merged weights are PEFT's to the last bits, under the names and types that transformers writes", "[model]") {
  const auto base = Checkpoint::open(vector_path("tiny/llama")).value();
  const std::vector<std::pair<std::string, std::string>> weights = {{"plain", "self_attn.q_proj"},
                                                                    {"rslora", "self_attn.q_proj"},
                                                                    {"dora", "self_attn.q_proj"},
                                                                    {"qv_patterns", "self_attn.q_proj"},
                                                                    {"head", "self_attn.o_proj"}};
  for (const auto& [variant, module] : weights) {
    INFO(variant);
    const auto expected = read_safetensors("lora/" + variant + "/expected.safetensors");
    const auto adapter = load_peft_folder(vector_path("lora/" + variant), base.config()).value();
    const auto merged = MergedModel::make(base, adapter).value();
    const auto info = std::ranges::find(merged.weights(), "model.layers.1." + module + ".weight", &WeightInfo::name);
    const auto kind = module.substr(module.find('.') + 1);
    CHECK(largest_difference(merged.read(*info).value(), floats(expected, "merged_layer1_" + kind)) < 5e-7);
  }
}

TEST_CASE("without an adapter a model is copied number for number, in shards that transformers would read", "[model]") {
  const TemporaryFolder scratch;
  for (const std::string arch : {"llama", "gpt2", "gemma2"}) {
    INFO(arch);
    const auto base = Checkpoint::open(vector_path("tiny/" + arch)).value();
    const auto copy = MergedModel::make(base, kNoAdapter).value();
    const auto written =
        write_merged_folder(vector_path("tiny/" + arch), copy, scratch.file(arch), {.shard_bytes = 40'000}).value();
    CHECK(written.files > 2);
    const auto again = Checkpoint::open(scratch.file(arch)).value();
    CHECK(again.config() == base.config());
    for (const auto& info : base.weights()) CHECK(again.read(info.name) == base.read(info.name));

    const auto index = Json::parse(file_of(scratch.file(arch), "model.safetensors.index.json"), "index").value();
    CHECK(index.at("metadata").at("total_size").as_int() == static_cast<std::int64_t>(written.bytes));
    CHECK(index.at("weight_map").members().size() == written.tensors);
    for (const auto& [name, file] : index.at("weight_map").members())
      CHECK(data::SafetensorsFile::open(scratch.file(arch + "/" + file.as_string())).value().find_tensor(name) != nullptr);
  }
}

TEST_CASE(
    "a merged folder has its tokenizer, its type in the configuration, and a head of its own where the adapter has one",
    "[model]") {
  const TemporaryFolder scratch;
  const std::string fixture = vector_path("fixture");
  const auto base = Checkpoint::open(fixture).value();
  const auto adapter = load_peft_folder(vector_path("gguf_export/adapter"), base.config()).value();
  const auto merged = MergedModel::make(base, adapter).value();
  REQUIRE(write_merged_folder(fixture, merged, scratch.file("half"), {.format = NumberFormat::kBF16}).ok());
  for (const std::string file : {"tokenizer.json", "tokenizer_config.json"})
    CHECK(file_of(scratch.file("half"), file) == file_of(fixture, file));
  CHECK(Json::parse(file_of(scratch.file("half"), "config.json"), "c").value().at("dtype").as_string() == "bfloat16");
  const auto file = data::SafetensorsFile::open(scratch.file("half/model.safetensors")).value();
  for (const auto& tensor : file.tensors()) CHECK(tensor.type == data::SafetensorsType::kBF16);

  const auto llama = Checkpoint::open(vector_path("tiny/llama")).value();
  const auto head = load_peft_folder(vector_path("lora/saved_head"), llama.config()).value();
  const auto untied = MergedModel::make(llama, head).value();
  REQUIRE(write_merged_folder(vector_path("tiny/llama"), untied, scratch.file("head")).ok());
  CHECK(Json::parse(file_of(scratch.file("head"), "config.json"), "c").value().at("tie_word_embeddings").as_bool() == false);
}

TEST_CASE("a merge that fails leaves nothing, and none overwrites what is there", "[model]") {
  const TemporaryFolder scratch;
  const std::string base_path = vector_path("tiny/llama"), out = scratch.file("out");
  const auto base = Checkpoint::open(base_path).value();
  auto adapter = load_peft_folder(vector_path("lora/plain"), base.config()).value();
  adapter.lora.factors.back().a.front() = std::numeric_limits<float>::max();
  adapter.lora.factors.back().b.front() = std::numeric_limits<float>::max();
  const auto broken = MergedModel::make(base, adapter).value();
  const auto failed = write_merged_folder(base_path, broken, out);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().message.find("model.layers.1.mlp.down_proj.weight") != std::string::npos);
  CHECK(std::filesystem::is_empty(scratch.path()));

  const auto copy = MergedModel::make(base, kNoAdapter).value();
  REQUIRE(write_file_atomically(out, "mine").ok());
  CHECK_FALSE(write_merged_folder(base_path, copy, out).ok());
  std::filesystem::remove(out);
  REQUIRE(write_merged_folder(base_path, copy, out).ok());
  const auto again = write_merged_folder(base_path, copy, out);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().message.find(out) != std::string::npos);
}

}  // namespace sotto::model
