#include "model/network/transformer.h"

#include <algorithm>
#include <limits>
#include <map>

#include "model/network/layer_functions.h"

namespace sotto::model {
namespace {

// -inf where a query may not see a key: in its future, and before its window if there is one.
at::Tensor causal_mask(std::int64_t length, std::int64_t window, std::int64_t group, const at::Device& device) {
  const float never = -std::numeric_limits<float>::infinity();
  at::Tensor mask = at::full({length, length}, never, at::TensorOptions(at::kFloat).device(device)).triu_(1);
  if (window > 0) mask.add_(at::full_like(mask, never).tril_(-window));
  return mask.repeat({group, 1});
}

at::Tensor normed(const at::Tensor& x_RC, const NormWeights& norm, const ModelConfig& c, const TrainingPass* training) {
  if (!norm.weight_C.defined()) return x_RC;
  if (training != nullptr && training->whole) {
    const at::Tensor ones_C = at::ones_like(norm.weight_C);
    const at::Tensor n_RC = norm.bias_C.defined() ? layer_norm(x_RC, ones_C, at::zeros_like(ones_C), c.norm_eps)
                                                  : rms_norm(x_RC, ones_C, c.norm_eps);
    return recorded_scale(n_RC, norm, training->whole);
  }
  if (norm.bias_C.defined()) return layer_norm(x_RC, norm.weight_C, norm.bias_C, c.norm_eps);
  return rms_norm(x_RC, norm.weight_C, c.norm_eps);
}

// Norms of each head: rows of D numbers.
at::Tensor normed_heads(const at::Tensor& x_RHD, const NormWeights& norm, const ModelConfig& c,
                        const TrainingPass* training) {
  if (!norm.weight_C.defined()) return x_RHD;
  return normed(x_RHD.reshape({-1, x_RHD.size(2)}), norm, c, training).view(x_RHD.sizes());
}

// One linear layer with whatever lies on it.
class LayerLinears {
 public:
  LayerLinears(const LayerWeights& weights, const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora,
               std::size_t layer, const PassRowsPtr& pass, const TrainingPass* training)
      : weights_(weights), lora_(lora), layer_(layer), pass_(pass), training_(training) {}

  at::Tensor operator()(LinearKind kind, const at::Tensor& x_RI) const {
    const LinearWeights& linear = weights_.linears[kind];
    if (training_ != nullptr && training_->whole) return recorded_linear(x_RI, linear, training_->whole);
    const at::Tensor y_RO = without_bias(kind, x_RI, linear.weight_OI);
    return linear.bias_O.defined() ? y_RO + linear.bias_O : y_RO;
  }

  const TrainingPass* training() const { return training_; }

 private:
  at::Tensor without_bias(LinearKind kind, const at::Tensor& x_RI, const FrozenMatrix& weight_OI) const {
    if (lora_ == nullptr || !(*lora_)[kind]) return apply_linear(x_RI, weight_OI);
    const LoraOnDevice& lora = *(*lora_)[kind];
    if (training_ == nullptr) return apply_linear(x_RI, weight_OI, lora);
    auto mask = training_->dropout ? training_->dropout(layer_, x_RI.size(1)) : std::nullopt;
    if (mask) mask = mask->to(x_RI.device());
    return apply_linear(x_RI, weight_OI, lora, pass_, training_->gradients, mask);
  }

  const LayerWeights& weights_;
  const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora_;
  std::size_t layer_;
  const PassRowsPtr& pass_;
  const TrainingPass* training_;
};

struct Heads {
  at::Tensor q_RHD, k_RKD, v_RKD;
};

Heads queries_keys_values(const at::Tensor& n_RC, const LayerLinears& apply, const LayerWeights& layer,
                          const ModelConfig& c) {
  const std::int64_t rows = n_RC.size(0), heads = c.heads, kv_heads = c.kv_heads, dim = c.head_dim;
  if (c.fused_qkv) {
    const auto parts = apply(kQkv, n_RC).split_with_sizes({heads * dim, kv_heads * dim, kv_heads * dim}, 1);
    return {parts[0].reshape({rows, heads, dim}), parts[1].reshape({rows, kv_heads, dim}),
            parts[2].reshape({rows, kv_heads, dim})};
  }
  return {normed_heads(apply(kQ, n_RC).view({rows, heads, dim}), layer.q_norm, c, apply.training()),
          normed_heads(apply(kK, n_RC).view({rows, kv_heads, dim}), layer.k_norm, c, apply.training()),
          apply(kV, n_RC).view({rows, kv_heads, dim})};
}

at::Tensor mlp(const at::Tensor& m_RC, const LayerLinears& apply, const ModelConfig& c) {
  if (!c.gated_mlp) return apply(kDown, gelu_tanh(apply(kUp, m_RC)));
  const at::Tensor gate_RF = apply(kGate, m_RC), up_RF = apply(kUp, m_RC);
  return apply(kDown, c.activation == Activation::kSilu ? swiglu(gate_RF, up_RF) : geglu(gate_RF, up_RF));
}

at::Tensor embedded(const Weights& weights, const AdapterOnDevice* adapter, const PassRows& pass) {
  at::Tensor x_RC = weights.embedding_VC.index_select(0, pass.ids_R);
  if (weights.config.embedding_scale != 1) x_RC.mul_(weights.config.embedding_scale);
  if (pass.prompt_rows_N.defined())  // a prompt stands where embeddings that are scaled already do
    x_RC.index_copy_(0, pass.prompt_rows_N, adapter->prompt_PC.index_select(0, pass.prompt_index_N));
  return weights.positions_SC.defined() ? x_RC.add_(weights.positions_SC.index_select(0, pass.position_R)) : x_RC;
}

// Embeddings that a gradient is wanted by: those of a soft prompt, or of the whole model.
at::Tensor with_gradient(const at::Tensor& x_RC, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                         const TrainingPass& training) {
  const at::AutoGradMode grad(true);
  if (training.whole) return recorded_embedding(x_RC, training.whole);
  if (!adapter->prompt_PC.defined()) return x_RC;
  return with_prompt_gradient(x_RC, pass, training.gradients);
}

PassRowsPtr moved(const PassRows& pass, const at::Device& device) {
  auto copy = c10::make_intrusive<PassRows>(pass);
  const auto move = [&](at::Tensor& tensor) { tensor = tensor.defined() ? tensor.to(device) : tensor; };
  for (auto* tensor :
       {&copy->ids_R, &copy->prompt_rows_N, &copy->prompt_index_N, &copy->position_R, &copy->cos_RE, &copy->sin_RE})
    move(*tensor);
  for (auto& span : copy->spans) {
    move(span.mask_GTxT);
    move(span.sliding_mask_GTxT);
  }
  return copy;
}

// What a layer needs besides its input. What it points to outlives the backward pass.
struct LayerRun : torch::CustomClassHolder {
  LayerRun(const Weights& w, const AdapterOnDevice* a, PassRowsPtr p, const TrainingPass* t, Caches* c)
      : weights(w), adapter(a), pass(std::move(p)), training(t), caches(c) {}
  const Weights& weights;
  const AdapterOnDevice* adapter;
  PassRowsPtr pass;
  const TrainingPass* training;
  Caches* caches;

  // The pass's tensors on a layer's device; copied when the first layer of that device asks.
  const PassRowsPtr& pass_on(const at::Device& device) const {
    if (pass->ids_R.device() == device) return pass;
    PassRowsPtr& copy = copies[device.str()];
    if (!copy) copy = moved(*pass, device);
    return copy;
  }
  mutable std::map<std::string, PassRowsPtr> copies;
};
using LayerRunPtr = c10::intrusive_ptr<LayerRun>;

at::Tensor run_layer(const at::Tensor& in_RC, std::size_t l, const LayerRun& run) {
  const ModelConfig& c = run.weights.config;
  const LayerWeights& layer = run.weights.layers[l];
  const TrainingPass* training = run.training;
  if (training != nullptr && training->begin_layer) training->begin_layer(l);
  const PassRowsPtr& pass = run.pass_on(layer.device);
  const LayerLinears apply(layer, run.adapter != nullptr ? &run.adapter->layers[l] : nullptr, l, pass, training);
  const AttentionForm form{c.attention_scale, c.attention_softcap, c.is_sliding(l) ? c.sliding_window : 0};

  const auto [q_RHD, k_RKD, v_RKD] = queries_keys_values(normed(in_RC, layer.attention_norm, c, training), apply, layer, c);
  const at::Tensor seen_RHD = run.caches != nullptr ? cached_attention(q_RHD, k_RKD, v_RKD, {*pass, (*run.caches)[l]}, form)
                              : training == nullptr ? inference_attention(q_RHD, k_RKD, v_RKD, pass, form)
                                                    : attention(q_RHD, k_RKD, v_RKD, pass, form);
  const at::Tensor x_RC =
      in_RC + normed(apply(kO, seen_RHD.view({in_RC.size(0), -1})), layer.attention_output_norm, c, training);
  return x_RC + normed(mlp(normed(x_RC, layer.mlp_norm, c, training), apply, c), layer.mlp_output_norm, c, training);
}

// A layer of which only the input is kept.
class RecomputedLayer : public torch::autograd::Function<RecomputedLayer> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x_RC, const at::Tensor& /*anchor*/,
                            std::int64_t layer, const LayerRunPtr& run) {
    ctx->save_for_backward({x_RC});
    ctx->saved_data["layer"] = layer;
    ctx->saved_data["run"] = c10::IValue::make_capsule(run);
    return run_layer(x_RC, static_cast<std::size_t>(layer), *run);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto run = c10::static_intrusive_pointer_cast<LayerRun>(ctx->saved_data["run"].toCapsule());
    const at::AutoGradMode grad(true);
    const at::Tensor x_RC = ctx->get_saved_variables()[0].detach().set_requires_grad(ctx->needs_input_grad(0));
    run_layer(x_RC, static_cast<std::size_t>(ctx->saved_data["layer"].toInt()), *run).backward(grads[0]);
    return {x_RC.grad(), {}, {}, {}};
  }
};

const at::Tensor& anchor_of(const TrainingPass& training) {
  return training.whole ? training.whole->anchor : training.gradients->anchor;
}

// Hidden states after the first `layers` layers.
at::Tensor run_layers(const LayerRunPtr& run, std::size_t layers) {
  const at::AutoGradMode grad_off(false);
  const TrainingPass* training = run->training;
  at::Tensor x_RC = embedded(run->weights, run->adapter, *run->pass);
  if (training != nullptr) x_RC = with_gradient(x_RC, run->adapter, run->pass, *training);
  for (std::size_t l = 0; l < layers; ++l) {
    const bool trains = training != nullptr && (run->adapter == nullptr || l >= run->adapter->lowest_layer);
    const at::AutoGradMode grad(trains);
    x_RC = x_RC.to(run->weights.layers[l].device);
    x_RC = trains && training->recomputes_layers
               ? RecomputedLayer::apply(x_RC, anchor_of(*training), static_cast<std::int64_t>(l), run)
               : run_layer(x_RC, l, *run);
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
  std::vector<std::int64_t> ids(pass.rows, 0), position(pass.rows, 0), prompt_rows, prompt_index;
  std::map<std::uint32_t, std::array<at::Tensor, 2>> masks;  // by length: whole, sliding
  const bool masked = !masks_by_position(weights.embedding_VC, c.attention_softcap) ||
                      !std::ranges::all_of(weights.layers, [](const auto& layer) { return layer.device.is_cpu(); });
  for (const auto& segment : pass.segments) {
    for (std::uint32_t t = 0; t < segment.length; ++t) {
      const std::int64_t id = sequences[segment.sequence][t];
      if (id < c.vocab_size) {
        ids[segment.start + t] = id;
      } else {
        prompt_rows.push_back(segment.start + t);
        prompt_index.push_back(id - c.vocab_size);
      }
      position[segment.start + t] = positions[segment.sequence] + t;
    }
    auto& [whole, sliding] = masks[segment.length];
    if (masked && !whole.defined()) whole = causal_mask(segment.length, 0, c.heads / c.kv_heads, device);
    if (masked && c.sliding_window > 0 && !sliding.defined())
      sliding = causal_mask(segment.length, c.sliding_window, c.heads / c.kv_heads, device);
    rows->spans.push_back({segment.start, segment.length, whole, sliding});
  }
  if (!prompt_rows.empty()) {
    rows->prompt_rows_N = at::tensor(prompt_rows, at::kLong).to(device);
    rows->prompt_index_N = at::tensor(prompt_index, at::kLong).to(device);
  }
  rows->ids_R = at::tensor(ids, at::kLong).to(device);
  rows->position_R = at::tensor(position, at::kLong).to(device);
  if (!c.learned_positions)
    std::tie(rows->cos_RE, rows->sin_RE) = rotary_angles(rows->position_R, c.head_dim, c.rope_theta, c.rope_divisors);
  return rows;
}

at::Tensor final_hidden(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        const TrainingPass* training, Caches* caches) {
  const at::Tensor x_RC =
      run_layers(c10::make_intrusive<LayerRun>(weights, adapter, pass, training, caches), weights.layers.size());
  const at::AutoGradMode grad(training != nullptr);
  return normed(x_RC.to(weights.norm.weight_C.device()), weights.norm, weights.config, training);
}

at::Tensor hidden_after(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        std::size_t layers) {
  return run_layers(c10::make_intrusive<LayerRun>(weights, adapter, pass, nullptr, nullptr), layers);
}

}  // namespace sotto::model
