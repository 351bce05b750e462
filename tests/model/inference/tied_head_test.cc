// A model that is said to be tied and has a head of its own, against the reference's logits.
#include "model/adapter/gguf_export.h"
#include "model/adapter/merged_folder.h"
#include "tests/model/tiny_model.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

const std::vector<std::string> kFamilies = {"gemma2", "gpt2", "llama", "mistral", "qwen2", "qwen3"};

// The logits at the last position of the first row that has no padding.
struct Expected {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;
};
Expected expected_of(const std::string& name) {
  const auto file = read_safetensors("tiny/" + name + "/expected.safetensors");
  const auto ids = integers(file, "input_ids"), mask = integers(file, "attention_mask");
  const auto logits = floats(file, "logits");
  const std::size_t columns = 40, vocab = logits.size() / ids.size();
  for (std::size_t row = 0; row < ids.size() / columns; ++row) {
    const auto first = static_cast<std::ptrdiff_t>(row * columns);
    if (std::count(mask.begin() + first, mask.begin() + first + 40, 1) != 40) continue;
    const auto last = static_cast<std::ptrdiff_t>((row * columns + columns - 1) * vocab);
    return {{ids.begin() + first, ids.begin() + first + 40},
            {logits.begin() + last, logits.begin() + last + static_cast<std::ptrdiff_t>(vocab)}};
  }
  FAIL("no row without padding");
  return {};
}

std::vector<float> last_logits(const std::string& path, const std::vector<std::int32_t>& ids) {
  const auto model = LanguageModel::load(path, {.precision = Precision::kFp32, .threads = 1}).value();
  return model.logits(ids, std::vector<std::uint32_t>{static_cast<std::uint32_t>(ids.size() - 1)}).value();
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

// transformers 5.24.0 was seen to give the rolled logits for each of these folders.
TEST_CASE("a model that is said to be tied and has another head is computed with its own head, in every family", "[model]") {
  for (const auto& name : kFamilies) {
    INFO(name);
    TinyModel model(name);
    model.tensors["lm_head.weight"] = model.rolled_head();
    model.say_tied(true);
    const std::string path = model.write();
    auto [ids, logits] = expected_of(name);
    CHECK(largest_difference(last_logits(path, ids), logits) > 1);
    std::ranges::rotate(logits, logits.begin() + 1);
    CHECK(largest_difference(last_logits(path, ids), logits) < 2e-4);
    CHECK_FALSE(checkpoint_config(path).value().tied_embeddings);
  }
}

TEST_CASE("merging and exporting such a model keep its head", "[model]") {
  for (const auto& name : kFamilies) {
    INFO(name);
    TinyModel model(name);
    model.tensors["lm_head.weight"] = model.rolled_head();
    model.say_tied(true);
    const std::string path = model.write();
    auto [ids, logits] = expected_of(name);
    std::ranges::rotate(logits, logits.begin() + 1);
    const auto base = Checkpoint::open(path).value();
    const Adapter none;
    const auto merged = MergedModel::make(base, none).value();
    REQUIRE(write_merged_folder(path, merged, model.path("merged")).ok());
    CHECK(largest_difference(last_logits(model.path("merged"), ids), logits) < 2e-4);
    CHECK_FALSE(Json::read_file(model.path("merged/config.json"))->at("tie_word_embeddings").as_bool());
    const auto exported = write_gguf(path, merged, model.path("model.gguf"), NumberFormat::kF32);
    if (name == "gemma2") {  // has no such GGUF form
      CHECK(says(exported.error().message, "Gemma 2"));
      continue;
    }
    REQUIRE(exported.ok());
    CHECK(largest_difference(last_logits(model.path("model.gguf"), ids), logits) < 2e-4);
  }
}

TEST_CASE("a tied model's head that equals its embedding, or stands in its place, is the embedding", "[model]") {
  for (const std::string name : {"gpt2", "llama"}) {
    INFO(name);
    TinyModel model(name);
    model.tensors["lm_head.weight"] = model.tensors.at(model.embedding);
    CHECK(Checkpoint::open(model.write()).value().config().tied_embeddings);
    const auto [ids, logits] = expected_of(name);
    model.tensors.erase(model.embedding);
    CHECK(largest_difference(last_logits(model.write(), ids), logits) < 2e-4);
    model.tensors.erase("lm_head.weight");
    CHECK(says(model.refusal(), model.embedding));
  }
}

TEST_CASE("a model with a number that is not finite is not loaded", "[model]") {
  TinyModel model("llama");
  auto& norm = model.tensors.at("model.norm.weight");
  const float infinite = -std::numeric_limits<float>::infinity();
  std::memcpy(norm.bytes.data() + 8, &infinite, sizeof infinite);
  const auto loaded = LanguageModel::load(model.write(), {});
  REQUIRE_FALSE(loaded.ok());
  CHECK(says(loaded.error().message, "model.norm.weight"));
}

}  // namespace sotto::model
