#include "model/files/hugging_face_export.h"

#include <charconv>
#include <cmath>

#include "base/check.h"

namespace sotto::model {
namespace {

// The shortest decimal of an fp32 number: 1e-05 where the file has 9.99999974737875e-06.
double short_decimal(double value) {
  char text[32];
  const auto printed = std::to_chars(text, text + sizeof text, static_cast<float>(value));
  double out = value;
  std::from_chars(text, printed.ptr, out);
  return out;
}

Json gpt2_config(const ModelConfig& c) {
  return Json::object({{"model_type", "gpt2"},
                       {"architectures", Json::array({"GPT2LMHeadModel"})},
                       {"vocab_size", c.vocab_size},
                       {"n_embd", c.hidden_size},
                       {"n_layer", c.layers},
                       {"n_head", c.heads},
                       {"n_inner", c.intermediate_size},
                       {"n_positions", c.max_positions},
                       {"layer_norm_epsilon", short_decimal(c.norm_eps)},
                       {"activation_function", "gelu_new"}});
}

struct Names {
  const char* model_type;
  const char* class_name;
};
Names names_of(const ModelConfig& c) {
  switch (c.architecture) {
    case Architecture::kLlama:  // Mistral's GGUF files, too; only Mistral has windows
      if (c.sliding_window == 0) return {"llama", "LlamaForCausalLM"};
      [[fallthrough]];
    case Architecture::kMistral: return {"mistral", "MistralForCausalLM"};
    case Architecture::kQwen2: return {"qwen2", "Qwen2ForCausalLM"};
    case Architecture::kQwen3: return {"qwen3", "Qwen3ForCausalLM"};
    case Architecture::kGemma2: return {"gemma2", "Gemma2ForCausalLM"};
    case Architecture::kGpt2: return {"gpt2", "GPT2LMHeadModel"};
  }
  throw Failure("an architecture without a name");
}

Json llama_like_config(const ModelConfig& c) {
  const auto names = names_of(c);
  Json json = Json::object({{"model_type", names.model_type},
                            {"architectures", Json::array({names.class_name})},
                            {"vocab_size", c.vocab_size},
                            {"hidden_size", c.hidden_size},
                            {"intermediate_size", c.intermediate_size},
                            {"num_hidden_layers", c.layers},
                            {"num_attention_heads", c.heads},
                            {"num_key_value_heads", c.kv_heads},
                            {"head_dim", c.head_dim},
                            {"max_position_embeddings", c.max_positions},
                            {"rms_norm_eps", short_decimal(c.norm_eps)},
                            {"rope_theta", short_decimal(c.rope_theta)}});
  if (std::string_view(names.model_type) == "mistral")
    json.set("sliding_window", c.sliding_window == 0 ? Json(nullptr) : Json(c.sliding_window));
  if (c.architecture == Architecture::kGemma2) {
    json.set("hidden_activation", "gelu_pytorch_tanh");
    json.set("query_pre_attn_scalar", std::round(1 / (c.attention_scale * c.attention_scale)));
    json.set("sliding_window", c.sliding_window);
    json.set("attn_logit_softcapping", c.attention_softcap == 0 ? Json(nullptr) : Json(short_decimal(c.attention_softcap)));
    json.set("final_logit_softcapping", c.logit_softcap == 0 ? Json(nullptr) : Json(short_decimal(c.logit_softcap)));
  } else {
    json.set("hidden_act", "silu");
  }
  return json;
}

}  // namespace

Result<Json> hugging_face_config(const ModelConfig& config) {
  Json json = config.architecture == Architecture::kGpt2 ? gpt2_config(config) : llama_like_config(config);
  json.set("tie_word_embeddings", config.tied_embeddings);
  SOTTO_TRY(const auto read, model_config(json, "config.json"));
  if (same_computation(config, read)) return json;
  return unsupported(
      std::string("config.json cannot say all that this GGUF file computes") +
      (config.rope_divisors.empty() ? "" : " (rope_freqs.weight: the scaling it came from is not in the file)") +
      "; take the model's own Hugging Face folder as base, or export to GGUF");
}

bool same_computation(const ModelConfig& a, const ModelConfig& b) {
  const auto close = [](double x, double y) { return x == y || std::abs(x - y) <= 1e-6 * std::abs(x); };
  if (!close(a.norm_eps, b.norm_eps) || !close(a.rope_theta, b.rope_theta) || !close(a.attention_scale, b.attention_scale) ||
      !close(a.embedding_scale, b.embedding_scale) || !close(a.attention_softcap, b.attention_softcap) ||
      !close(a.logit_softcap, b.logit_softcap))
    return false;
  ModelConfig same = b;
  same.architecture = a.architecture;
  same.norm_eps = a.norm_eps;
  same.rope_theta = a.rope_theta;
  same.attention_scale = a.attention_scale;
  same.embedding_scale = a.embedding_scale;
  same.attention_softcap = a.attention_softcap;
  same.logit_softcap = a.logit_softcap;
  return a == same;
}

}  // namespace sotto::model
