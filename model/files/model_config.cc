#include "model/files/model_config.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/files/architecture.h"

namespace sotto::model {
namespace {

// Larger than any real model, small enough that no product of two overflows.
constexpr std::uint64_t kLargestDimension = 1u << 24;
constexpr std::uint64_t kMostLayers = 4096;

struct Field {
  const char* name;
  std::uint64_t value;
  std::uint64_t largest;
};

bool is_positive(double value) { return std::isfinite(value) && value > 0; }
bool is_not_negative(double value) { return std::isfinite(value) && value >= 0; }

Result<void> check_numbers(const ModelConfig& c, const std::string& origin) {
  if (!(c.norm_eps > 0 && c.norm_eps < 1)) return invalid(origin + ": the norm's epsilon is not in (0, 1)");
  if (!c.learned_positions && !(std::isfinite(c.rope_theta) && c.rope_theta > 1))
    return invalid(origin + ": rope_theta is not above 1");
  if (!(c.rope_divisors.empty() || c.rope_divisors.size() == c.head_dim / 2) ||
      !std::ranges::all_of(c.rope_divisors, [](float d) { return is_positive(static_cast<double>(d)); }))
    return invalid(origin + ": the rotary frequencies' divisors are not " + std::to_string(c.head_dim / 2) +
                   " positive numbers; the file is damaged");
  if (!is_positive(c.attention_scale)) return invalid(origin + ": the scale of the attention scores is not above 0");
  if (!is_positive(c.embedding_scale)) return invalid(origin + ": the scale of the embeddings is not above 0");
  if (!is_not_negative(c.attention_softcap) || !is_not_negative(c.logit_softcap))
    return invalid(origin + ": a soft cap is below 0 or not finite");
  return {};
}

}  // namespace

Result<ModelConfig> checked(const ModelConfig& c, const std::string& origin) {
  for (const auto& [name, value, largest] :
       std::initializer_list<Field>{{"vocabulary size", c.vocab_size, kLargestDimension},
                                    {"hidden size", c.hidden_size, kLargestDimension},
                                    {"intermediate size", c.intermediate_size, kLargestDimension},
                                    {"number of layers", c.layers, kMostLayers},
                                    {"number of heads", c.heads, kLargestDimension},
                                    {"number of key/value heads", c.kv_heads, kLargestDimension},
                                    {"head dimension", c.head_dim, kLargestDimension},
                                    {"number of positions", c.max_positions, kLargestDimension}})
    if (value == 0 || value > largest)
      return invalid(origin + ": the " + name + " is " + std::to_string(value) + ", not in 1.." + std::to_string(largest) +
                     "; the file is damaged or no language model");
  if (c.heads % c.kv_heads != 0)
    return invalid(origin + ": " + std::to_string(c.heads) + " heads cannot share " + std::to_string(c.kv_heads) +
                   " key/value heads evenly; the file is damaged");
  if (std::uint64_t{c.heads} * c.head_dim > kLargestDimension)
    return invalid(origin + ": " + std::to_string(c.heads) + " heads of dimension " + std::to_string(c.head_dim) +
                   ", which no model has; the file is damaged");
  if (!c.learned_positions && c.head_dim % 2 != 0)
    return invalid(origin + ": the head dimension is odd; rotary embeddings need pairs");
  if (c.sliding_window != 0 && c.sliding_layers.size() != c.layers)
    return invalid(origin + ": " + std::to_string(c.sliding_layers.size()) + " layer types for " + std::to_string(c.layers) +
                   " layers; the file is damaged");
  SOTTO_TRY_VOID(check_numbers(c, origin));
  return c;
}

const std::vector<SupportedArchitecture>& supported_architectures() {
  static const char* const kProjections = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
  static const std::vector<SupportedArchitecture> all = {
      {Architecture::kLlama, "Llama 2, 3, 3.1, 3.2, 3.3; SmolLM, SmolLM2; TinyLlama", "llama", "llama", kProjections},
      {Architecture::kMistral, "Mistral 7B, Zephyr", "mistral", "llama", kProjections},
      {Architecture::kQwen2, "Qwen2, Qwen2.5", "qwen2", "qwen2", kProjections},
      {Architecture::kQwen3, "Qwen3 (dense)", "qwen3", "qwen3", kProjections},
      {Architecture::kGemma2, "Gemma 2", "gemma2", "gemma2", kProjections},
      {Architecture::kGpt2, "GPT-2", "gpt2", "gpt2", "c_attn, c_proj, c_fc"},
  };
  return all;
}

ModelConfig with_architecture(Architecture architecture) {
  ModelConfig c;
  c.architecture = architecture;
  switch (architecture) {
    case Architecture::kLlama:
    case Architecture::kMistral: break;
    case Architecture::kQwen2: c.qkv_bias = true; break;
    case Architecture::kQwen3: c.qk_norm = true; break;
    case Architecture::kGemma2:
      c.unit_offset_norms = c.output_norms = true;
      c.activation = Activation::kGeluTanh;
      break;
    case Architecture::kGpt2:
      c.norm = NormKind::kLayer;
      c.learned_positions = c.fused_qkv = c.all_biases = true;
      c.gated_mlp = false;
      c.activation = Activation::kGeluTanh;
      break;
  }
  return c;
}

std::uint64_t ModelConfig::parameters() const {
  std::uint64_t sum = 0;
  for (const auto& info : weight_infos(*this))
    sum += std::accumulate(info.shape.begin(), info.shape.end(), std::uint64_t{1}, std::multiplies<>());
  return sum;
}

}  // namespace sotto::model
