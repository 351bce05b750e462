#include "model/transformer.h"

#include <limits>
#include <map>

namespace sotto::model {
namespace {

// -inf where a query may not see a key: in its future, and before its window if there is one.
at::Tensor causal_mask(std::int64_t length, std::int64_t window, std::int64_t group, const at::Device& device) {
  const float never = -std::numeric_limits<float>::infinity();
  at::Tensor mask = at::full({length, length}, never, at::TensorOptions(at::kFloat).device(device)).triu_(1);
  if (window > 0) mask.add_(at::full_like(mask, never).tril_(-window));
  return mask.repeat({group, 1});
}

at::Tensor normed(const at::Tensor& x_RC, const NormWeights& norm, const ModelConfig& c) {
  if (!norm.weight_C.defined()) return x_RC;
  if (norm.bias_C.defined()) return layer_norm(x_RC, norm.weight_C, norm.bias_C, c.norm_eps);
  return rms_norm(x_RC, norm.weight_C, c.norm_eps);
}

// Norms of each head: rows of D numbers.
at::Tensor normed_heads(const at::Tensor& x_RHD, const NormWeights& norm, const ModelConfig& c) {
  if (!norm.weight_C.defined()) return x_RHD;
  return normed(x_RHD.reshape({-1, x_RHD.size(2)}), norm, c).view(x_RHD.sizes());
}

// One linear layer with whatever lies on it.
class LayerLinears {
 public:
  LayerLinears(const LayerWeights& weights, const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora,
               std::size_t layer, const PassRowsPtr& pass, const Training* training)
      : weights_(weights), lora_(lora), layer_(layer), pass_(pass), training_(training) {}

  at::Tensor operator()(LinearKind kind, const at::Tensor& x_RI) const {
    const LinearWeights& linear = weights_.linears[kind];
    const at::Tensor y_RO = without_bias(kind, x_RI, linear.weight_OI);
    return linear.bias_O.defined() ? y_RO + linear.bias_O : y_RO;
  }

 private:
  at::Tensor without_bias(LinearKind kind, const at::Tensor& x_RI, const at::Tensor& weight_OI) const {
    if (lora_ == nullptr || !(*lora_)[kind]) return apply_linear(x_RI, weight_OI);
    const LoraOnDevice& lora = *(*lora_)[kind];
    if (training_ == nullptr) return apply_linear(x_RI, weight_OI, lora);
    const auto mask = training_->dropout ? training_->dropout(layer_, x_RI.size(1)) : std::nullopt;
    return apply_linear(x_RI, weight_OI, lora, pass_, training_->gradients, mask);
  }

  const LayerWeights& weights_;
  const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora_;
  std::size_t layer_;
  const PassRowsPtr& pass_;
  const Training* training_;
};

struct Heads {
  at::Tensor q_RHD, k_RKD, v_RKD;
};

Heads queries_keys_values(const at::Tensor& n_RC, const LayerLinears& apply, const LayerWeights& layer, const ModelConfig& c) {
  const std::int64_t rows = n_RC.size(0), heads = c.heads, kv_heads = c.kv_heads, dim = c.head_dim;
  if (c.fused_qkv) {
    const auto parts = apply(kQkv, n_RC).split_with_sizes({heads * dim, kv_heads * dim, kv_heads * dim}, 1);
    return {parts[0].reshape({rows, heads, dim}), parts[1].reshape({rows, kv_heads, dim}),
            parts[2].reshape({rows, kv_heads, dim})};
  }
  return {normed_heads(apply(kQ, n_RC).view({rows, heads, dim}), layer.q_norm, c),
          normed_heads(apply(kK, n_RC).view({rows, kv_heads, dim}), layer.k_norm, c),
          apply(kV, n_RC).view({rows, kv_heads, dim})};
}

at::Tensor mlp(const at::Tensor& m_RC, const LayerLinears& apply, const ModelConfig& c) {
  if (!c.gated_mlp) return apply(kDown, gelu_tanh(apply(kUp, m_RC)));
  const at::Tensor gate_RF = apply(kGate, m_RC), up_RF = apply(kUp, m_RC);
  return apply(kDown, c.activation == Activation::kSilu ? swiglu(gate_RF, up_RF) : geglu(gate_RF, up_RF));
}

at::Tensor embedded(const Weights& weights, const PassRows& pass) {
  at::Tensor x_RC = weights.embedding_VC.index_select(0, pass.ids_R);
  if (weights.positions_SC.defined()) x_RC.add_(weights.positions_SC.index_select(0, pass.position_R));
  return weights.config.embedding_scale == 1 ? x_RC : x_RC.mul_(weights.config.embedding_scale);
}

// Hidden states after the first `layers` layers.
at::Tensor run_layers(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                      const Training* training, Caches* caches, std::size_t layers) {
  const ModelConfig& c = weights.config;
  const at::AutoGradMode grad_off(false);
  at::Tensor x_RC = embedded(weights, *pass);
  for (std::size_t l = 0; l < layers; ++l) {
    const at::AutoGradMode grad(training != nullptr && l >= adapter->lowest_layer);
    const LayerWeights& layer = weights.layers[l];
    const LayerLinears apply(layer, adapter != nullptr ? &adapter->layers[l] : nullptr, l, pass, training);
    const AttentionForm form{c.attention_scale, c.attention_softcap, c.is_sliding(l) ? c.sliding_window : 0};

    const auto [q_RHD, k_RKD, v_RKD] = queries_keys_values(normed(x_RC, layer.attention_norm, c), apply, layer, c);
    const at::Tensor seen_RHD = caches != nullptr ? cached_attention(q_RHD, k_RKD, v_RKD, {*pass, (*caches)[l]}, form)
                                                  : attention(q_RHD, k_RKD, v_RKD, pass, form);
    x_RC = x_RC + normed(apply(kO, seen_RHD.view({x_RC.size(0), -1})), layer.attention_output_norm, c);
    x_RC = x_RC + normed(mlp(normed(x_RC, layer.mlp_norm, c), apply, c), layer.mlp_output_norm, c);
  }
  return x_RC;
}

}  // namespace

PassRowsPtr make_pass(const Pass& pass, std::span<const std::span<const std::int32_t>> sequences,
                      std::span<const std::uint32_t> positions, const Weights& weights) {
  const ModelConfig& c = weights.config;
  const at::Device device = weights.embedding_VC.device();
  auto rows = c10::make_intrusive<PassRows>();
  rows->rows = pass.rows;
  rows->head_dim = c.head_dim;
  std::vector<std::int64_t> ids(pass.rows, 0), position(pass.rows, 0);
  std::map<std::uint32_t, std::array<at::Tensor, 2>> masks;  // by length: whole, sliding
  for (const auto& segment : pass.segments) {
    for (std::uint32_t t = 0; t < segment.length; ++t) {
      ids[segment.start + t] = sequences[segment.sequence][t];
      position[segment.start + t] = positions[segment.sequence] + t;
    }
    auto& [whole, sliding] = masks[segment.length];
    if (!whole.defined()) whole = causal_mask(segment.length, 0, c.heads / c.kv_heads, device);
    if (c.sliding_window > 0 && !sliding.defined())
      sliding = causal_mask(segment.length, c.sliding_window, c.heads / c.kv_heads, device);
    rows->spans.push_back({segment.start, segment.length, whole, sliding});
  }
  rows->ids_R = at::tensor(ids, at::kLong).to(device);
  rows->position_R = at::tensor(position, at::kLong).to(device);
  if (!c.learned_positions)
    std::tie(rows->cos_RE, rows->sin_RE) = rotary_angles(rows->position_R, c.head_dim, c.rope_theta, c.rope_divisors);
  return rows;
}

at::Tensor final_hidden(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        const Training* training, Caches* caches) {
  const at::Tensor x_RC = run_layers(weights, adapter, pass, training, caches, weights.layers.size());
  const at::AutoGradMode grad(training != nullptr);
  return normed(x_RC, weights.norm, weights.config);
}

at::Tensor hidden_after(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass, std::size_t layers) {
  return run_layers(weights, adapter, pass, nullptr, nullptr, layers);
}

}  // namespace sotto::model
