#include "model/model_config.h"

#include <cmath>

#include "data/gguf_file.h"

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
  if (c.head_dim % 2 != 0) return invalid(origin + ": the head dimension is odd; rotary embeddings need pairs");
  if (!(std::isfinite(c.rms_eps) && c.rms_eps > 0 && c.rms_eps < 1))
    return invalid(origin + ": the RMS norm's epsilon is not in (0, 1)");
  if (!(std::isfinite(c.rope_theta) && c.rope_theta > 1)) return invalid(origin + ": rope_theta is not above 1");
  return c;
}

Result<std::uint32_t> small(std::uint64_t value, const std::string& what) {
  if (value > kLargestDimension) return invalid(what + " is " + std::to_string(value) + ", which no model has");
  return static_cast<std::uint32_t>(value);
}

Result<std::uint32_t> gguf_uint(const data::GgufFile& file, const std::string& key) {
  SOTTO_TRY(const auto value, file.get_uint(key));
  return small(value, file.origin() + ": " + key);
}

Result<std::uint32_t> json_uint(const Json& config, const char* key, const std::string& origin) {
  SOTTO_TRY(const auto value, config.get_int(key));
  if (value < 0) return invalid(origin + ": " + key + " is " + std::to_string(value) + ", which no model has");
  return small(static_cast<std::uint64_t>(value), origin + ": " + key);
}

Result<std::uint32_t> json_uint_or(const Json& config, const char* key, std::uint32_t fallback, const std::string& origin) {
  const Json* value = config.find(key);
  if (value == nullptr || value->is_null()) return fallback;
  return json_uint(config, key, origin);
}

// Neutral values: what a field may say without changing what we compute. Absent and null are neutral always.
struct NeutralField {
  const char* name;
  Json neutral;
};

Result<void> refuse_what_we_do_not_compute(const Json& config, const std::string& origin) {
  const std::initializer_list<NeutralField> fields = {{"hidden_act", "silu"},
                                                      {"attention_bias", false},
                                                      {"mlp_bias", false},
                                                      {"sliding_window", nullptr},
                                                      {"use_sliding_window", false},
                                                      {"quantization_config", nullptr},
                                                      {"pretraining_tp", 1},
                                                      {"partial_rotary_factor", 1.0},
                                                      {"rope_interleaved", false},
                                                      {"rope_scaling", nullptr},
                                                      {"attn_logit_softcapping", nullptr},
                                                      {"final_logit_softcapping", nullptr},
                                                      {"num_local_experts", 0},
                                                      {"use_qk_norm", false},
                                                      {"attention_multiplier", nullptr},
                                                      {"logits_scaling", nullptr},
                                                      {"residual_multiplier", nullptr},
                                                      {"embedding_multiplier", nullptr}};
  for (const auto& [name, neutral] : fields) {
    const Json* value = config.find(name);
    if (value == nullptr || value->is_null()) continue;
    const bool same = value->is_number() && neutral.is_number() ? value->as_double() == neutral.as_double()
                                                                : value->dump() == neutral.dump();
    if (!same)
      return unsupported(origin + ": " + name + " = " + value->dump() + " is not computed by this version (" +
                         neutral.dump() + " is); take another model");
  }
  return {};
}

// transformers 5 writes rope_parameters {rope_theta, rope_type}; older files rope_theta (and rope_scaling, checked above).
Result<double> rope_theta(const Json& config, const std::string& origin) {
  const Json* parameters = config.find("rope_parameters");
  const Json& source = parameters != nullptr && parameters->is_object() ? *parameters : config;
  if (&source == parameters) {
    const Json* type = source.find("rope_type");
    if (type != nullptr && !(type->is_string() && type->as_string() == "default"))
      return unsupported(origin + ": rope_type = " + type->dump() + " is not computed by this version (\"default\" is)");
    const Json* part = source.find("partial_rotary_factor");
    if (part != nullptr && !part->is_null() && !(part->is_number() && part->as_double() == 1.0))
      return unsupported(origin + ": partial_rotary_factor = " + part->dump() + " is not computed by this version (1.0 is)");
  }
  if (source.find("rope_theta") == nullptr) return 10000.0;  // transformers' default
  return source.get_double("rope_theta");
}

}  // namespace

std::uint64_t ModelConfig::parameters() const {
  const std::uint64_t h = hidden_size, q = std::uint64_t{heads} * head_dim, kv = std::uint64_t{kv_heads} * head_dim;
  const std::uint64_t layer = 2 * h * q + 2 * h * kv + 3 * h * intermediate_size + 2 * h;
  return layers * layer + h + vocab_size * h * (tied_embeddings ? 1 : 2);
}

Result<ModelConfig> model_config(const data::GgufFile& file) {
  SOTTO_TRY(const auto architecture, file.get_string("general.architecture"));
  if (architecture != "llama")
    return unsupported(file.origin() + ": general.architecture = \"" + architecture +
                       "\" is not computed by this version (\"llama\" is)");
  if (const auto* scaling = file.find("llama.rope.scaling.type")) {
    const auto* type = std::get_if<std::string>(scaling);
    if (type == nullptr || *type != "none")
      return unsupported(file.origin() + ": llama.rope.scaling.type = \"" + (type != nullptr ? *type : "?") +
                         "\" is not computed by this version (\"none\" is)");
  }
  if (file.find("llama.expert_count") != nullptr) {
    SOTTO_TRY(const auto experts, file.get_uint("llama.expert_count"));
    if (experts != 0)
      return unsupported(file.origin() + ": llama.expert_count = " + std::to_string(experts) +
                         " (a mixture of "
                         "experts) is not computed by this version");
  }
  ModelConfig c;
  SOTTO_TRY(c.hidden_size, gguf_uint(file, "llama.embedding_length"));
  SOTTO_TRY(c.intermediate_size, gguf_uint(file, "llama.feed_forward_length"));
  SOTTO_TRY(c.layers, gguf_uint(file, "llama.block_count"));
  SOTTO_TRY(c.heads, gguf_uint(file, "llama.attention.head_count"));
  c.kv_heads = c.heads;
  if (file.find("llama.attention.head_count_kv") != nullptr) {
    SOTTO_TRY(c.kv_heads, gguf_uint(file, "llama.attention.head_count_kv"));
  }
  SOTTO_TRY(c.max_positions, gguf_uint(file, "llama.context_length"));
  SOTTO_TRY(c.rms_eps, file.get_double("llama.attention.layer_norm_rms_epsilon"));
  c.head_dim = c.heads == 0 ? 0 : c.hidden_size / c.heads;
  if (file.find("llama.attention.key_length") != nullptr) {
    SOTTO_TRY(c.head_dim, gguf_uint(file, "llama.attention.key_length"));
  }
  if (file.find("llama.rope.dimension_count") != nullptr) {
    SOTTO_TRY(const auto rotated, gguf_uint(file, "llama.rope.dimension_count"));
    if (rotated != c.head_dim)
      return unsupported(file.origin() + ": llama.rope.dimension_count = " + std::to_string(rotated) +
                         " of a head dimension of " + std::to_string(c.head_dim) +
                         " (partly rotated heads) is not computed by this version");
  }
  if (file.find("llama.rope.freq_base") != nullptr) {
    SOTTO_TRY(c.rope_theta, file.get_double("llama.rope.freq_base"));
  }
  const auto* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->dims.size() != 2)
    return invalid(file.origin() +
                   ": the tensor token_embd.weight is missing or no matrix; the file is damaged or no language model");
  SOTTO_TRY(c.vocab_size, small(embedding->dims[1], file.origin() + ": the vocabulary of token_embd.weight"));
  c.tied_embeddings = file.find_tensor("output.weight") == nullptr;
  return checked(c, file.origin());
}

Result<ModelConfig> model_config(const Json& config, const std::string& origin) {
  if (!config.is_object()) return invalid(origin + ": not a JSON object");
  SOTTO_TRY(const auto type, config.get_string("model_type"));
  if (type != "llama")
    return unsupported(origin + ": model_type = \"" + type + "\" is not computed by this version (\"llama\" is)");
  SOTTO_TRY_VOID(refuse_what_we_do_not_compute(config, origin));
  ModelConfig c;
  SOTTO_TRY(c.vocab_size, json_uint(config, "vocab_size", origin));
  SOTTO_TRY(c.hidden_size, json_uint(config, "hidden_size", origin));
  SOTTO_TRY(c.intermediate_size, json_uint(config, "intermediate_size", origin));
  SOTTO_TRY(c.layers, json_uint(config, "num_hidden_layers", origin));
  SOTTO_TRY(c.heads, json_uint(config, "num_attention_heads", origin));
  SOTTO_TRY(c.kv_heads, json_uint_or(config, "num_key_value_heads", c.heads, origin));
  SOTTO_TRY(c.head_dim, json_uint_or(config, "head_dim", c.heads == 0 ? 0 : c.hidden_size / c.heads, origin));
  SOTTO_TRY(c.max_positions, json_uint_or(config, "max_position_embeddings", 2048, origin));
  SOTTO_TRY(c.rms_eps, config.get_double("rms_norm_eps"));
  SOTTO_TRY(c.rope_theta, rope_theta(config, origin));
  const Json* tied = config.find("tie_word_embeddings");
  c.tied_embeddings = tied != nullptr && tied->is_bool() && tied->as_bool();
  return checked(c, origin);
}

}  // namespace sotto::model
