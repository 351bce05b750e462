// What shape a model has and which variant of the one forward pass (transformer.h) it is, read from a GGUF file's metadata
// or a Hugging Face config.json. Plain values, no tensors. Whatever a source says that would change the result and that this
// version does not compute (another architecture, another kind of scaled rotary embedding, a mixture of experts ...) is
// refused by its name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace sotto::data {
class GgufFile;  // data/files/gguf_file.h
}

namespace sotto::model {

// Llama: Touvron et al. 2023 (arXiv 2302.13971, 2307.09288), 3: 2407.21783. Mistral: 2310.06825. Qwen2: 2407.10671. Qwen3:
// 2505.09388. Gemma 2: 2408.00118. GPT-2: Radford et al. 2019. What differs in the computation is said by the fields of
// ModelConfig; the architecture itself decides only how files name and lay out their tensors.
enum class Architecture : std::uint8_t { kLlama, kMistral, kQwen2, kQwen3, kGemma2, kGpt2 };

enum class NormKind : std::uint8_t { kRms, kLayer };        // RMS norm; LayerNorm with bias
enum class Activation : std::uint8_t { kSilu, kGeluTanh };  // GELU in its tanh form (Hendrycks, Gimpel 2016, 1606.08415)

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  std::uint32_t vocab_size = 0;
  std::uint32_t hidden_size = 0;
  std::uint32_t intermediate_size = 0;
  std::uint32_t layers = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;  // divides heads: grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245)
  std::uint32_t head_dim = 0;
  std::uint32_t max_positions = 0;  // longest context the model was made for
  bool tied_embeddings = true;      // the head is the embedding matrix

  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-5;
  bool unit_offset_norms = false;  // the files of a Hugging Face folder store a norm's weight minus 1
  bool qk_norm = false;            // RMS norm of each head's queries and keys, before they are rotated
  bool output_norms = false;       // of what attention and MLP add to the residual stream

  bool learned_positions = false;    // a table of positions is added to the embeddings; otherwise rotary angles:
  double rope_theta = 10000.0;       // RoFormer (Su et al. 2021, arXiv 2104.09864)
  std::vector<float> rope_divisors;  // of each of the head_dim / 2 frequencies; empty: all 1. Llama 3's scaling
  double embedding_scale = 1.0;      // of the embeddings as the first layer sees them

  double attention_scale = 0;        // of q k^T, before the softmax
  double attention_softcap = 0;      // c: scores become c tanh(score / c); 0: they stay. Gemma 2
  double logit_softcap = 0;          // the same for the head's logits
  std::uint32_t sliding_window = 0;  // positions that a query of a sliding layer sees, itself included; 0: no such layer
  std::vector<bool> sliding_layers;  // by layer; empty when sliding_window is 0

  bool qkv_bias = false;    // of q, k and v
  bool fused_qkv = false;   // one linear layer gives q, k and v
  bool all_biases = false;  // of every linear layer
  bool gated_mlp = true;    // down(act(gate x) * up x) (Shazeer 2020, arXiv 2002.05202); otherwise down(act(up x))
  Activation activation = Activation::kSilu;

  bool is_sliding(std::size_t layer) const { return sliding_window != 0 && sliding_layers[layer]; }
  std::uint64_t parameters() const;  // all weights; a tied head counts once
  bool operator==(const ModelConfig&) const = default;
};

Result<ModelConfig> model_config(const data::GgufFile& file);
// `origin` (the file's name) starts every message.
Result<ModelConfig> model_config(const Json& config, const std::string& origin);

// What is read, for tables and messages: one row an architecture.
struct SupportedArchitecture {
  Architecture architecture;
  const char* families;      // "Llama 2, 3, 3.1, 3.2, 3.3; SmolLM, SmolLM2"
  const char* model_type;    // in config.json
  const char* gguf;          // general.architecture
  const char* lora_targets;  // its linear layers, as PEFT names them
};
const std::vector<SupportedArchitecture>& supported_architectures();

// Refuses shapes that no model has, and fields that contradict each other. For those who read configurations.
Result<ModelConfig> checked(const ModelConfig& config, const std::string& origin);
// What an architecture computes whatever its files say.
ModelConfig with_architecture(Architecture architecture);

}  // namespace sotto::model
