// config.json of a Hugging Face folder. Where a field is absent, it has the value that transformers gives it.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/files/model_config.h"

namespace sotto::model {
namespace {

// A config.json and its name. Absent and null fields are the same: "whatever the architecture does by itself".
class Fields {
 public:
  Fields(const Json& json, std::string origin) : json_(json), origin_(std::move(origin)) {}

  const std::string& origin() const { return origin_; }
  const Json* find(const char* name) const {
    const Json* value = json_.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  bool has(const char* name) const { return json_.find(name) != nullptr; }  // if only as null
  Result<std::uint32_t> uint(const char* name) const {
    const auto value = json_.get_int(name);
    if (!value.ok()) return invalid(origin_ + ": " + value.error().message);
    if (*value < 0 || *value > (1 << 24))
      return invalid(origin_ + ": " + name + " is " + std::to_string(*value) + ", which no model has");
    return static_cast<std::uint32_t>(*value);
  }
  Result<std::uint32_t> uint_or(const char* name, std::uint32_t otherwise) const {
    if (find(name) == nullptr) return otherwise;
    return uint(name);
  }
  Result<double> number(const char* name) const {
    const auto value = json_.get_double(name);
    if (!value.ok()) return invalid(origin_ + ": " + value.error().message);
    return *value;
  }
  Result<double> number_or(const char* name, double otherwise) const {
    if (find(name) == nullptr) return otherwise;
    return number(name);
  }
  Result<bool> boolean_or(const char* name, bool otherwise) const {
    if (find(name) == nullptr) return otherwise;
    const auto value = json_.get_bool(name);
    if (!value.ok()) return invalid(origin_ + ": " + value.error().message);
    return *value;
  }
  Error not_computed(const std::string& name, const Json& value, const std::string& computed) const {
    return unsupported(origin_ + ": " + name + " = " + value.dump() + " is not computed by this version (" + computed +
                       " is); take another model");
  }

 private:
  const Json& json_;
  std::string origin_;
};

// What a field may say without changing what we compute.
struct NeutralField {
  const char* name;
  Json neutral;
};

Result<void> refuse_unless_neutral(const Fields& fields, std::initializer_list<NeutralField> neutral_fields) {
  for (const auto& [name, neutral] : neutral_fields) {
    const Json* value = fields.find(name);
    if (value == nullptr) continue;
    const bool same = value->is_number() && neutral.is_number() ? value->as_double() == neutral.as_double()
                                                                : value->dump() == neutral.dump();
    if (!same) return fields.not_computed(name, *value, neutral.dump());
  }
  return {};
}

// Fields by which relatives of these architectures, and options of theirs, change the result.
Result<void> refuse_what_no_architecture_computes(const Fields& fields) {
  return refuse_unless_neutral(fields, {{"attention_bias", false},
                                        {"attention_multiplier", nullptr},
                                        {"attention_chunk_size", nullptr},
                                        {"add_cross_attention", false},
                                        {"clip_qkv", nullptr},
                                        {"embedding_multiplier", nullptr},
                                        {"is_encoder_decoder", false},
                                        {"layer_norm_type", nullptr},
                                        {"logit_scale", nullptr},
                                        {"logits_scaling", nullptr},
                                        {"mlp_bias", false},
                                        {"no_rope_layers", nullptr},
                                        {"num_experts", 0},
                                        {"num_local_experts", 0},
                                        {"parallel_attn", false},
                                        {"partial_rotary_factor", 1.0},
                                        {"pretraining_tp", 1},
                                        {"quantization_config", nullptr},
                                        {"residual_multiplier", nullptr},
                                        {"rope_interleaved", false},
                                        {"rotary_pct", 1.0},
                                        {"scale_attn_by_inverse_layer_idx", false},
                                        {"scale_attn_weights", true},
                                        {"use_bidirectional_attention", false},
                                        {"use_parallel_residual", false},
                                        {"use_qk_norm", false}});
}

Result<Activation> activation(const Fields& fields, const char* name, Activation computed) {
  const Json* value = fields.find(name);
  if (value == nullptr) return computed;
  const std::string said = value->is_string() ? value->as_string() : "";
  const bool silu = said == "silu" || said == "swish";
  const bool gelu = said == "gelu_new" || said == "gelu_pytorch_tanh";
  if (computed == Activation::kSilu ? silu : gelu) return computed;
  return fields.not_computed(name, *value, computed == Activation::kSilu ? "\"silu\"" : "GELU in its tanh form");
}

// Llama 3's scaling of rotary frequencies (transformers, modeling_rope_utils.py, _compute_llama3_parameters): waves longer
// than a window of the original context are slowed by `factor`, short ones stay, those between are mixed.
std::vector<float> llama3_divisors(const ModelConfig& c, double factor, double low, double high, double original) {
  std::vector<float> divisors;
  for (std::uint32_t e = 0; e < c.head_dim / 2; ++e) {
    const double wavelength = 2 * std::numbers::pi * std::pow(c.rope_theta, 2.0 * e / c.head_dim);
    const double smooth = std::clamp((original / wavelength - low) / (high - low), 0.0, 1.0);
    divisors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
  }
  return divisors;
}

constexpr std::string_view kRopeFields[] = {"rope_theta",
                                            "rope_type",
                                            "type",
                                            "factor",
                                            "low_freq_factor",
                                            "high_freq_factor",
                                            "original_max_position_embeddings",
                                            "partial_rotary_factor"};

// transformers 5 writes rope_parameters {rope_theta, rope_type, ...}; older files rope_theta and rope_scaling {type or
// rope_type, ...}, which transformers puts first.
Result<void> read_rotary(const Fields& fields, ModelConfig& c) {
  SOTTO_TRY(c.rope_theta, fields.number_or("rope_theta", 10000.0));
  const char* const name = fields.find("rope_scaling") != nullptr ? "rope_scaling" : "rope_parameters";
  const Json* json = fields.find(name);
  if (json == nullptr) return {};
  const Fields rope(*json, fields.origin() + ": " + name);
  if (!json->is_object()) return invalid(rope.origin() + " is no object");
  for (const auto& [key, value] : json->members())
    if (!value.is_null() && std::ranges::find(kRopeFields, key) == std::end(kRopeFields))
      return rope.not_computed(key, value, "its absence");
  SOTTO_TRY_VOID(refuse_unless_neutral(rope, {{"partial_rotary_factor", 1.0}}));
  SOTTO_TRY(c.rope_theta, rope.number_or("rope_theta", c.rope_theta));
  const char* const type_name = rope.find("rope_type") != nullptr ? "rope_type" : "type";
  const Json* type = rope.find(type_name);
  if (type == nullptr || type->dump() == "\"default\"") return {};
  if (type->dump() != "\"llama3\"") return rope.not_computed(type_name, *type, "\"default\" or \"llama3\"");
  SOTTO_TRY(const double factor, rope.number("factor"));
  SOTTO_TRY(const double low, rope.number("low_freq_factor"));
  SOTTO_TRY(const double high, rope.number("high_freq_factor"));
  SOTTO_TRY(const auto original, rope.uint("original_max_position_embeddings"));
  if (!(factor >= 1 && low > 0 && high > low && original > 0))
    return invalid(rope.origin() + ": factor " + std::to_string(factor) + ", low_freq_factor " + std::to_string(low) +
                   ", high_freq_factor " + std::to_string(high) + " and original_max_position_embeddings " +
                   std::to_string(original) + " make no scaling; the file is damaged");
  c.rope_divisors = llama3_divisors(c, factor, low, high, original);
  return {};
}

// layer_types, where the architecture has it; otherwise `is_sliding` by layer where there is a window.
template <class Rule>
Result<void> read_sliding_layers(const Fields& fields, ModelConfig& c, Rule is_sliding) {
  const Json* types = fields.find("layer_types");
  if (types != nullptr && !types->is_array()) return invalid(fields.origin() + ": layer_types is no list");
  if (types != nullptr && types->items().size() != c.layers)
    return invalid(fields.origin() + ": " + std::to_string(types->items().size()) + " layer_types for " +
                   std::to_string(c.layers) + " layers");
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    const std::string type = types == nullptr ? "" : types->at(std::size_t{l}).dump();
    if (types != nullptr && type != "\"sliding_attention\"" && type != "\"full_attention\"")
      return fields.not_computed("layer_types", types->at(std::size_t{l}), "\"full_attention\" or \"sliding_attention\"");
    c.sliding_layers.push_back(types == nullptr ? c.sliding_window != 0 && is_sliding(l) : type == "\"sliding_attention\"");
  }
  // One spelling of "no layer slides".
  const bool any = std::ranges::find(c.sliding_layers, true) != c.sliding_layers.end();
  if (any && c.sliding_window == 0)
    return invalid(fields.origin() + ": layer_types has sliding_attention but sliding_window is null; the file is damaged");
  if (!any) c.sliding_window = 0;
  if (c.sliding_window == 0) c.sliding_layers.clear();
  return {};
}

Result<void> read_window(const Fields& fields, ModelConfig& c) {
  switch (c.architecture) {
    case Architecture::kLlama:
      return refuse_unless_neutral(fields, {{"sliding_window", nullptr}, {"use_sliding_window", false}});
    case Architecture::kMistral: {
      // Null says none; absent says 4096.
      const bool silent = !fields.has("sliding_window");
      SOTTO_TRY(c.sliding_window, fields.uint_or("sliding_window", silent ? 4096 : 0));
      SOTTO_TRY_VOID(refuse_unless_neutral(fields, {{"layer_types", nullptr}}));
      return read_sliding_layers(fields, c, [](std::uint32_t) { return true; });
    }
    case Architecture::kQwen2:
    case Architecture::kQwen3: {
      SOTTO_TRY(const bool use, fields.boolean_or("use_sliding_window", false));
      SOTTO_TRY(c.sliding_window, fields.uint_or("sliding_window", 4096));
      SOTTO_TRY(const auto first, fields.uint_or("max_window_layers", 28));
      if (!use) c.sliding_window = 0;
      return read_sliding_layers(fields, c, [&](std::uint32_t l) { return use && l >= first; });
    }
    case Architecture::kGemma2: {
      SOTTO_TRY(c.sliding_window, fields.uint_or("sliding_window", 4096));
      return read_sliding_layers(fields, c, [](std::uint32_t l) { return l % 2 == 0; });
    }
    case Architecture::kGpt2: break;
  }
  return {};
}

Result<void> read_softcaps(const Fields& fields, ModelConfig& c) {
  if (c.architecture != Architecture::kGemma2)
    return refuse_unless_neutral(fields, {{"attn_logit_softcapping", nullptr}, {"final_logit_softcapping", nullptr}});
  // Null says none; absent says Gemma 2's own.
  const auto cap = [&](const char* name, double own) { return fields.number_or(name, fields.has(name) ? 0 : own); };
  SOTTO_TRY(c.attention_softcap, cap("attn_logit_softcapping", 50));
  SOTTO_TRY(c.logit_softcap, cap("final_logit_softcapping", 30));
  return {};
}

Result<ModelConfig> read_gpt2(const Fields& fields, ModelConfig c) {
  SOTTO_TRY(c.vocab_size, fields.uint("vocab_size"));
  SOTTO_TRY(c.hidden_size, fields.uint("n_embd"));
  SOTTO_TRY(c.layers, fields.uint("n_layer"));
  SOTTO_TRY(c.heads, fields.uint("n_head"));
  SOTTO_TRY(c.intermediate_size, fields.uint_or("n_inner", 4 * c.hidden_size));
  SOTTO_TRY(c.max_positions, fields.uint("n_positions"));
  SOTTO_TRY(c.norm_eps, fields.number_or("layer_norm_epsilon", 1e-5));
  SOTTO_TRY(c.activation, activation(fields, "activation_function", c.activation));
  SOTTO_TRY(c.tied_embeddings, fields.boolean_or("tie_word_embeddings", true));
  c.kv_heads = c.heads;
  if (c.heads == 0 || c.hidden_size % c.heads != 0)
    return invalid(fields.origin() + ": n_embd = " + std::to_string(c.hidden_size) +
                   " is no multiple of n_head = " + std::to_string(c.heads));
  c.head_dim = c.hidden_size / c.heads;
  c.attention_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  return checked(c, fields.origin());
}

std::uint32_t head_dim_if_silent(const ModelConfig& c) {
  if (c.architecture == Architecture::kQwen3) return 128;
  if (c.architecture == Architecture::kGemma2) return 256;
  return c.heads == 0 ? 0 : c.hidden_size / c.heads;
}

Result<ModelConfig> read_llama_like(const Fields& fields, ModelConfig c) {
  const bool gemma = c.architecture == Architecture::kGemma2;
  SOTTO_TRY(c.vocab_size, fields.uint("vocab_size"));
  SOTTO_TRY(c.hidden_size, fields.uint("hidden_size"));
  SOTTO_TRY(c.intermediate_size, fields.uint("intermediate_size"));
  SOTTO_TRY(c.layers, fields.uint("num_hidden_layers"));
  SOTTO_TRY(c.heads, fields.uint("num_attention_heads"));
  if (c.layers > 4096) return checked(c, fields.origin());  // before anything is made for each layer
  SOTTO_TRY(c.kv_heads, c.architecture == Architecture::kLlama ? fields.uint_or("num_key_value_heads", c.heads)
                                                               : fields.uint("num_key_value_heads"));
  SOTTO_TRY(c.head_dim, fields.uint_or("head_dim", head_dim_if_silent(c)));
  SOTTO_TRY(c.max_positions, fields.uint_or("max_position_embeddings", 2048));
  SOTTO_TRY(c.norm_eps, fields.number("rms_norm_eps"));
  // Gemma 2 asks hidden_activation and keeps an older hidden_act beside it.
  SOTTO_TRY(c.activation, activation(fields, gemma ? "hidden_activation" : "hidden_act", c.activation));
  SOTTO_TRY(c.tied_embeddings, fields.boolean_or("tie_word_embeddings", gemma));
  c.attention_scale = c.head_dim == 0 ? 0 : 1 / std::sqrt(static_cast<double>(c.head_dim));
  if (gemma) {
    SOTTO_TRY(const double scalar, fields.number_or("query_pre_attn_scalar", 256));
    c.attention_scale = 1 / std::sqrt(scalar);
    c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  }
  SOTTO_TRY_VOID(read_rotary(fields, c));
  SOTTO_TRY_VOID(read_window(fields, c));
  SOTTO_TRY_VOID(read_softcaps(fields, c));
  return checked(c, fields.origin());
}

}  // namespace

Result<ModelConfig> model_config(const Json& config, const std::string& origin) {
  if (!config.is_object()) return invalid(origin + ": not a JSON object");
  const Fields fields(config, origin);
  const auto named = config.get_string("model_type");
  if (!named.ok()) return invalid(origin + ": " + named.error().message);
  const std::string& type = *named;
  std::string known;
  for (const auto& row : supported_architectures()) {
    known += (known.empty() ? "\"" : ", \"") + std::string(row.model_type) + "\"";
    if (type != row.model_type) continue;
    SOTTO_TRY_VOID(refuse_what_no_architecture_computes(fields));
    const auto c = with_architecture(row.architecture);
    return row.architecture == Architecture::kGpt2 ? read_gpt2(fields, c) : read_llama_like(fields, c);
  }
  return unsupported(origin + ": model_type = \"" + type + "\" is not computed by this version (" + known + " are)");
}

}  // namespace sotto::model
