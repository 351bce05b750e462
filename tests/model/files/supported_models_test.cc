// docs/models.md is what the code's own lists say: this test makes it and compares. SOTTO_UPDATE_DOCS=1 writes it.
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "model/files/checkpoint.h"
#include "model/files/dequantize.h"
#include "tests/model/file_vectors.h"

namespace sotto::model {
namespace {

// What a configuration of an architecture computes besides the plain Llama layer.
std::string features(const ModelConfig& c) {
  std::string out;
  const auto add = [&](bool is, const std::string& what) {
    if (is) out += (out.empty() ? "" : ", ") + what;
  };
  add(c.norm == NormKind::kLayer, "LayerNorm");
  add(c.learned_positions, "learned positions");
  add(!c.rope_divisors.empty(), "scaled rotary frequencies (llama3)");
  add(c.kv_heads < c.heads, "grouped queries");
  add(c.fused_qkv, "fused c_attn (Conv1D)");
  add(c.qkv_bias, "q, k, v bias");
  add(c.all_biases, "biases");
  add(c.qk_norm, "q and k norms");
  add(c.unit_offset_norms, "1 + w norms");
  add(c.output_norms, "norms of outputs");
  add(c.embedding_scale != 1, "scaled embeddings");
  add(c.attention_softcap != 0 || c.logit_softcap != 0, "soft caps");
  const bool all_slide = std::ranges::find(c.sliding_layers, false) == c.sliding_layers.end();
  add(c.sliding_window != 0, all_slide ? "sliding window" : "alternating windows");
  add(!c.gated_mlp, "MLP without gate");
  add(c.activation == Activation::kGeluTanh, "GELU (tanh)");
  add(c.tied_embeddings, "tied");
  return out;
}

std::string table() {
  std::string out = "| families | `model_type` | GGUF architecture | LoRA targets |\n| --- | --- | --- | --- |\n";
  for (const auto& row : supported_architectures())
    out += "| " + std::string(row.families) + " | " + row.model_type + " | " + row.gguf + " | " + row.lora_targets + " |\n";
  return out;
}

std::string page() {
  std::string out =
      "# Models\n\n"
      "tests/model/files/supported_models_test.cc writes this page from the lists that the code itself uses, and fails when "
      "they differ. The program refuses any other model by its name, and any setting that would change the result and that "
      "it does not compute.\n\n";
  out += table();
  out +=
      "\nEach family is checked against the reference implementations: logits and hidden states within 2e-4, "
      "log-likelihoods, and the gradient of every LoRA factor of every unit. Each is read from a Hugging Face folder and "
      "from "
      "a GGUF file. These are the models of the tests:\n\n"
      "| model | parameters | what it has |\n| --- | --- | --- |\n";
  std::set<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(vector_path("tiny")))
    if (entry.is_directory()) folders.insert(entry.path());
  for (const auto& folder : folders) {
    const auto config = Checkpoint::open(folder.string()).value().config();
    out +=
        "| " + folder.filename().string() + " | " + std::to_string(config.parameters()) + " | " + features(config) + " |\n";
  }
  out +=
      "\n* Hugging Face folders: config.json and model.safetensors, or several files with model.safetensors.index.json; "
      "F32, F16 and BF16.\n"
      "* GGUF, versions 2 and 3: " +
      known_gguf_formats() +
      ". A model that is split over several GGUF files must be joined first.\n"
      "* A head that differs from the embedding counts, also where config.json says `tie_word_embeddings`, as in "
      "transformers "
      "5.\n"
      "* A tensor that is neither used nor known to be harmless (rotary frequencies and causal masks with the values that "
      "are "
      "computed) is refused by its name; so are a number that is not finite, and an adapter beside a model's weights.\n"
      "* Tokens count wherever a folder names them: tokenizer.json, tokenizer_config.json, special_tokens_map.json and "
      "added_tokens.json, with the ids that transformers 5 gives them. Two files that give one token different ids are "
      "refused, and so is `split_special_tokens`. What stands around a text is what tokenizer.json's post-processor says; "
      "`add_bos_token`, `add_eos_token`, truncation and padding do not count, as in transformers 5.\n";
  return out;
}

}  // namespace

TEST_CASE("docs/models.md lists what the code supports", "[model]") {
  const std::string path = std::string(SOTTO_SOURCE) + "/docs/models.md", wanted = page();
  if (std::getenv("SOTTO_UPDATE_DOCS") != nullptr) REQUIRE(write_file_atomically(path, wanted).ok());
  INFO("run test_model with SOTTO_UPDATE_DOCS=1 to write it");
  CHECK(read_text_file(path).value() == wanted);
}

TEST_CASE("every architecture in the list is one that the tests compare with the reference", "[model]") {
  std::set<Architecture> tested;
  for (const auto& entry : std::filesystem::directory_iterator(vector_path("tiny")))
    if (entry.is_directory()) tested.insert(Checkpoint::open(entry.path().string()).value().config().architecture);
  for (const auto& row : supported_architectures()) CHECK(tested.contains(row.architecture));
}

}  // namespace sotto::model
