// A GGUF file's metadata (llama.cpp, gguf-py/gguf/constants.py and src/llama-model.cpp): keys begin with the architecture.
#include <algorithm>
#include <bit>
#include <cmath>

#include "data/files/gguf_file.h"
#include "model/files/model_config.h"

namespace sotto::model {
namespace {

// Under the architecture's name may stand: what read_gguf() reads, and what tells nothing about numbers. Anything else is
// refused.
constexpr std::string_view kKnownKeys[] = {"attention.head_count",
                                           "attention.head_count_kv",
                                           "attention.key_length",
                                           "attention.layer_norm_epsilon",
                                           "attention.layer_norm_rms_epsilon",
                                           "attention.value_length",
                                           "block_count",
                                           "context_length",
                                           "embedding_length",
                                           "feed_forward_length",
                                           "rope.dimension_count",
                                           "rope.freq_base",
                                           "rope.scaling.finetuned",
                                           "rope.scaling.original_context_length",
                                           "tensor_data_layout",
                                           "vocab_size"};
// What must be 0, or 1, where it stands. The first three are read of the architectures that have them.
constexpr std::string_view kZeroKeys[] = {"attention.sliding_window",
                                          "attn_logit_softcapping",
                                          "final_logit_softcapping",
                                          "attention.clamp_kqv",
                                          "attention.max_alibi_bias",
                                          "expert_count",
                                          "expert_used_count",
                                          "logit_scale",
                                          "pooling_type"};
constexpr std::string_view kOneKeys[] = {"embedding_scale",          "residual_scale",      "rope.scale_linear",
                                         "rope.scaling.attn_factor", "rope.scaling.factor", "attention.scale"};

bool is_read(std::string_view key, Architecture architecture) {
  if (key == kZeroKeys[0]) return architecture == Architecture::kGemma2 || architecture == Architecture::kLlama;
  if (key == kZeroKeys[1] || key == kZeroKeys[2]) return architecture == Architecture::kGemma2;
  return std::ranges::find(kKnownKeys, key) != std::end(kKnownKeys);
}

// One architecture's keys in a file.
class Keys {
 public:
  Keys(const data::GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix) + ".") {}

  const std::string& origin() const { return file_.origin(); }
  bool has(std::string_view key) const { return file_.find(prefix_ + std::string(key)) != nullptr; }
  Result<std::uint32_t> uint(const std::string& key) const {
    SOTTO_TRY(const auto value, file_.get_uint(prefix_ + key));
    if (value > (1 << 24))
      return invalid(origin() + ": " + prefix_ + key + " is " + std::to_string(value) + ", which no model has");
    return static_cast<std::uint32_t>(value);
  }
  Result<std::uint32_t> uint_or(const std::string& key, std::uint32_t otherwise) const {
    if (!has(key)) return otherwise;
    return uint(key);
  }
  Result<double> number(const std::string& key) const { return file_.get_double(prefix_ + key); }
  Result<double> number_or(const std::string& key, double otherwise) const {
    if (!has(key)) return otherwise;
    return number(key);
  }
  Error not_computed(std::string_view key, const std::string& value, const std::string& why) const {
    return unsupported(origin() + ": " + prefix_ + std::string(key) + " = " + value + " " + why +
                       "is not computed by this version; take another model");
  }

  Result<void> refuse_what_is_not_computed(const ModelConfig& c) const {
    for (const auto& [full, value] : file_.metadata()) {
      if (!full.starts_with(prefix_)) continue;
      const auto key = std::string_view(full).substr(prefix_.size());
      if (is_read(key, c.architecture)) continue;
      if (key == "rope.scaling.type") {
        const auto* type = std::get_if<std::string>(&value);
        if (type != nullptr && *type == "none") continue;
        return not_computed(key, type != nullptr ? "\"" + *type + "\"" : "?", "");
      }
      const bool zero = std::ranges::find(kZeroKeys, key) != std::end(kZeroKeys);
      const bool one = std::ranges::find(kOneKeys, key) != std::end(kOneKeys);
      const auto number = file_.get_double(full);
      if (number.ok() && ((zero && *number == 0) || (one && *number == 1))) continue;
      return not_computed(key, number.ok() ? std::to_string(*number) : "?",
                          key == "expert_count" ? "(a mixture of experts) " : "");
    }
    return {};
  }

 private:
  const data::GgufFile& file_;
  std::string prefix_;
};

Result<void> read_attention(const Keys& keys, ModelConfig& c) {
  SOTTO_TRY(c.heads, keys.uint("attention.head_count"));
  SOTTO_TRY(c.kv_heads, keys.uint_or("attention.head_count_kv", c.heads));
  SOTTO_TRY(c.head_dim, keys.uint_or("attention.key_length", c.heads == 0 ? 0 : c.hidden_size / c.heads));
  SOTTO_TRY(const auto value_dim, keys.uint_or("attention.value_length", c.head_dim));
  if (value_dim != c.head_dim)
    return keys.not_computed("attention.value_length", std::to_string(value_dim),
                             "beside keys of length " + std::to_string(c.head_dim) + " ");
  SOTTO_TRY(const auto rotated, keys.uint_or("rope.dimension_count", c.head_dim));
  if (rotated != c.head_dim && !c.learned_positions)
    return keys.not_computed("rope.dimension_count", std::to_string(rotated),
                             "of a head dimension of " + std::to_string(c.head_dim) + " (partly rotated heads) ");
  c.attention_scale = c.head_dim == 0 ? 0 : 1 / std::sqrt(static_cast<double>(c.head_dim));
  SOTTO_TRY(c.rope_theta, keys.number_or("rope.freq_base", 10000.0));
  return {};
}

// Gemma 2's query_pre_attn_scalar is not in the file: llama.cpp knows it from the number of layers (46: the 27B model, whose
// heads are shorter than hidden / heads).
Result<void> read_gemma2(const Keys& keys, ModelConfig& c) {
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  if (c.layers == 46 && c.heads != 0) c.attention_scale = 1 / std::sqrt(static_cast<double>(c.hidden_size / c.heads));
  SOTTO_TRY(c.attention_softcap, keys.number_or("attn_logit_softcapping", 50));
  SOTTO_TRY(c.logit_softcap, keys.number_or("final_logit_softcapping", 30));
  SOTTO_TRY(c.sliding_window, keys.uint_or("attention.sliding_window", 4096));
  for (std::uint32_t l = 0; c.sliding_window != 0 && l < c.layers; ++l) c.sliding_layers.push_back(l % 2 == 0);
  return {};
}

// Llama 3's scaling is a tensor of divisors here.
Result<void> read_rope_divisors(const data::GgufFile& file, ModelConfig& c) {
  const auto* tensor = file.find_tensor("rope_freqs.weight");
  if (tensor == nullptr) return {};
  if (tensor->type.id != 0 || tensor->dims != std::vector<std::uint64_t>{c.head_dim / 2})
    return invalid(file.origin() + ": the tensor rope_freqs.weight is no F32 vector of " + std::to_string(c.head_dim / 2) +
                   " numbers; the file is damaged");
  ByteReader in(file.bytes(*tensor));
  for (std::uint64_t e = 0; e < tensor->elements; ++e) c.rope_divisors.push_back(std::bit_cast<float>(in.u32()));
  return {};
}

Result<ModelConfig> read_gguf(const data::GgufFile& file, const Keys& keys, ModelConfig c) {
  SOTTO_TRY_VOID(keys.refuse_what_is_not_computed(c));
  SOTTO_TRY(c.hidden_size, keys.uint("embedding_length"));
  SOTTO_TRY(c.intermediate_size, keys.uint("feed_forward_length"));
  SOTTO_TRY(c.layers, keys.uint("block_count"));
  if (c.layers > 4096) return checked(c, file.origin());  // before anything is made for each layer
  SOTTO_TRY(c.max_positions, keys.uint("context_length"));
  SOTTO_TRY(c.norm_eps,
            keys.number(c.norm == NormKind::kLayer ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"));
  SOTTO_TRY_VOID(read_attention(keys, c));
  if (c.architecture == Architecture::kGemma2) SOTTO_TRY_VOID(read_gemma2(keys, c));
  if (c.architecture == Architecture::kLlama) {  // Mistral's files are of this architecture, too
    SOTTO_TRY(c.sliding_window, keys.uint_or("attention.sliding_window", 0));
    if (c.sliding_window != 0) c.sliding_layers.assign(c.layers, true);
  }
  if (!c.learned_positions) SOTTO_TRY_VOID(read_rope_divisors(file, c));
  const auto* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->dims.size() != 2)
    return invalid(file.origin() +
                   ": the tensor token_embd.weight is missing or no matrix; the file is damaged or no language model");
  c.vocab_size = static_cast<std::uint32_t>(std::min<std::uint64_t>(embedding->dims[1], UINT32_MAX));
  c.tied_embeddings = file.find_tensor("output.weight") == nullptr;
  return checked(c, file.origin());
}

}  // namespace

Result<ModelConfig> model_config(const data::GgufFile& file) {
  SOTTO_TRY(const auto architecture, file.get_string("general.architecture"));
  std::string known;
  for (const auto& row : supported_architectures()) {
    if (architecture == row.gguf) return read_gguf(file, Keys(file, architecture), with_architecture(row.architecture));
    if (known.find(row.gguf) == std::string::npos) known += (known.empty() ? "\"" : ", \"") + std::string(row.gguf) + "\"";
  }
  return unsupported(file.origin() + ": general.architecture = \"" + architecture + "\" is not computed by this version (" +
                     known + " are)");
}

}  // namespace sotto::model
