#include "model/files/architecture.h"

namespace sotto::model {
namespace {

const char* gguf_linear(LinearKind kind) {
  switch (kind) {
    case kQ: return "attn_q";
    case kK: return "attn_k";
    case kV: return "attn_v";
    case kQkv: return "attn_qkv";
    case kO: return "attn_output";
    case kGate: return "ffn_gate";
    case kUp: return "ffn_up";
    case kDown: return "ffn_down";
    case kLinearKinds: break;
  }
  return "";
}

}  // namespace

std::vector<LinearInfo> layer_linears(const ModelConfig& c) {
  const std::uint32_t h = c.hidden_size, f = c.intermediate_size, q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const bool all = c.all_biases, qkv = c.qkv_bias || all;
  if (c.architecture == Architecture::kGpt2)
    return {{kQkv, "attn.c_attn", h, q + 2 * kv, qkv},
            {kO, "attn.c_proj", q, h, all},
            {kUp, "mlp.c_fc", h, f, all},
            {kDown, "mlp.c_proj", f, h, all}};
  return {{kQ, "self_attn.q_proj", h, q, qkv}, {kK, "self_attn.k_proj", h, kv, qkv}, {kV, "self_attn.v_proj", h, kv, qkv},
          {kO, "self_attn.o_proj", q, h, all}, {kGate, "mlp.gate_proj", h, f, all},  {kUp, "mlp.up_proj", h, f, all},
          {kDown, "mlp.down_proj", f, h, all}};
}

NormNames norm_names(const ModelConfig& c) {
  if (c.architecture == Architecture::kGpt2) return {"ln_1", "", "ln_2", "", "", ""};
  if (c.output_norms)
    return {
        "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm", "", ""};
  const std::string q = c.qk_norm ? "self_attn.q_norm" : "", k = c.qk_norm ? "self_attn.k_norm" : "";
  return {"input_layernorm", "", "post_attention_layernorm", "", q, k};
}

OuterNames outer_names(const ModelConfig& c) {
  if (c.architecture == Architecture::kGpt2) return {"transformer.wte", "transformer.wpe", "transformer.ln_f", "lm_head"};
  return {"model.embed_tokens", "", "model.norm", "lm_head"};
}

std::string layer_prefix(const ModelConfig& c, std::uint32_t layer) {
  return (c.architecture == Architecture::kGpt2 ? "transformer.h." : "model.layers.") + std::to_string(layer) + ".";
}

std::vector<WeightInfo> weight_infos(const ModelConfig& c) {
  const std::uint64_t h = c.hidden_size;
  const auto outer = outer_names(c);
  const auto names = norm_names(c);
  const bool conv1d = c.architecture == Architecture::kGpt2;
  std::vector<WeightInfo> infos = {{outer.embedding + ".weight", "token_embd.weight", {c.vocab_size, h}}};
  const auto add_norm = [&](const std::string& name, const std::string& gguf, std::uint64_t size) {
    infos.push_back({name + ".weight", gguf + ".weight", {size}, false, false, c.unit_offset_norms});
    if (c.norm == NormKind::kLayer) infos.push_back({name + ".bias", gguf + ".bias", {size}});
  };
  if (!outer.positions.empty()) infos.push_back({outer.positions + ".weight", "position_embd.weight", {c.max_positions, h}});
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    const std::string layer = layer_prefix(c, l), block = "blk." + std::to_string(l) + ".";
    add_norm(layer + names.attention, block + "attn_norm", h);
    for (const auto& linear : layer_linears(c)) {
      const std::string path = layer + linear.path, gguf = block + gguf_linear(linear.kind);
      infos.push_back(
          {path + ".weight", gguf + ".weight", {linear.out, linear.in}, conv1d, linear.kind == kQ || linear.kind == kK});
      if (linear.bias) infos.push_back({path + ".bias", gguf + ".bias", {linear.out}});
    }
    if (c.qk_norm) add_norm(layer + names.q, block + "attn_q_norm", c.head_dim);
    if (c.qk_norm) add_norm(layer + names.k, block + "attn_k_norm", c.head_dim);
    if (c.output_norms) add_norm(layer + names.attention_output, block + "post_attention_norm", h);
    add_norm(layer + names.mlp, block + "ffn_norm", h);
    if (c.output_norms) add_norm(layer + names.mlp_output, block + "post_ffw_norm", h);
  }
  add_norm(outer.norm, "output_norm", h);
  if (!c.tied_embeddings) infos.push_back({outer.head + ".weight", "output.weight", {c.vocab_size, h}});
  return infos;
}

}  // namespace sotto::model
