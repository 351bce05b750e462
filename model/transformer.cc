#include "model/transformer.h"

#include <limits>
#include <map>

#include "model/lora.h"

namespace sotto::model {
namespace {

at::Tensor to_tensor(const std::vector<float>& values, at::IntArrayRef shape, at::ScalarType type,
                     const at::Device& device) {
  // from_blob only looks at the values: copy always, also where type and device are the same.
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat).to(device, type, false, true);
}

at::Tensor causal_mask(std::int64_t length, std::int64_t group, const at::Device& device) {
  return at::full({length, length}, -std::numeric_limits<float>::infinity(), at::TensorOptions(at::kFloat).device(device))
      .triu_(1)
      .repeat({group, 1});
}

// One linear layer with whatever lies on it.
class LayerLinears {
 public:
  LayerLinears(const LayerWeights& weights, const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora,
               std::size_t layer, const PassRowsPtr& pass, const Training* training)
      : weights_(weights), lora_(lora), layer_(layer), pass_(pass), training_(training) {}

  at::Tensor operator()(LinearKind kind, const at::Tensor& x_RI) const {
    const at::Tensor& weight = weights_.linears[kind];
    if (lora_ == nullptr || !(*lora_)[kind]) return apply_linear(x_RI, weight);
    const LoraOnDevice& lora = *(*lora_)[kind];
    if (training_ == nullptr) return apply_linear(x_RI, weight, lora);
    const auto mask = training_->dropout ? training_->dropout(layer_, x_RI.size(1)) : std::nullopt;
    return apply_linear(x_RI, weight, lora, pass_, training_->gradients, mask);
  }

 private:
  const LayerWeights& weights_;
  const std::array<std::optional<LoraOnDevice>, kLinearKinds>* lora_;
  std::size_t layer_;
  const PassRowsPtr& pass_;
  const Training* training_;
};

}  // namespace

namespace {

Weights assemble(const ModelConfig& c, std::map<std::string, at::Tensor> tensors) {
  Weights w{c, {}, {}, {}, {}, 0, {}};
  w.embedding_VC = tensors.at("model.embed_tokens.weight");
  w.norm_C = tensors.at("model.norm.weight");
  w.head_VC = tensors.at("lm_head.weight");
  const auto modules = linear_modules(c);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    LayerWeights weights{
        tensors.at(layer + "input_layernorm.weight"), tensors.at(layer + "post_attention_layernorm.weight"), {}};
    for (std::size_t kind = 0; kind < kLinearKinds; ++kind)
      weights.linears[kind] = tensors.at(modules[l * kLinearKinds + kind].path + ".weight");
    w.layers.push_back(std::move(weights));
  }
  w.tensors = std::move(tensors);
  return w;
}

}  // namespace

Weights load_weights(const Checkpoint& checkpoint, at::ScalarType linear_type, const at::Device& device) {
  const ModelConfig& c = checkpoint.config();
  std::map<std::string, at::Tensor> tensors;
  std::uint64_t bytes = 0;
  for (const auto& [name, shape] : weight_infos(c)) {
    const bool is_linear = name.starts_with("model.layers.") && shape.size() == 2;
    const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
    const auto tensor = to_tensor(checkpoint.read(name), sizes, is_linear ? linear_type : at::kFloat, device);
    bytes += static_cast<std::uint64_t>(tensor.nbytes());
    tensors.emplace(name, tensor);
  }
  if (c.tied_embeddings) tensors["lm_head.weight"] = tensors.at("model.embed_tokens.weight");
  Weights weights = assemble(c, std::move(tensors));
  weights.bytes = bytes;
  return weights;
}

Weights with_replaced(const Weights& base, const std::map<std::string, Parameter>& replaced) {
  if (replaced.empty()) return base;
  auto tensors = base.tensors;
  for (const auto& [name, parameter] : replaced) {
    at::Tensor& tensor = tensors.at(name);
    const std::vector<std::int64_t> sizes(parameter.shape.begin(), parameter.shape.end());
    tensor = to_tensor(parameter.values, sizes, tensor.scalar_type(), tensor.device());
  }
  Weights weights = assemble(base.config, std::move(tensors));
  weights.bytes = base.bytes;
  return weights;
}

AdapterOnDevice put_on_device(const AdapterState& state, TrainedPart part, const ModelConfig& config,
                              const at::Device& device) {
  AdapterOnDevice adapter;
  adapter.layers.resize(config.layers);
  adapter.lowest_layer = config.layers;
  const auto all = linear_modules(config);
  std::int64_t offset = 0;
  for (std::size_t m = 0; m < state.factors.size(); ++m) {
    const auto& module = state.layout.modules[m];
    const auto at_index = std::ranges::find(all, module.path, &LoraModule::path);
    SOTTO_CHECK(at_index != all.end());
    const auto index = static_cast<std::size_t>(at_index - all.begin());
    const std::int64_t rank = module.rank, in = module.in, out = module.out;
    LoraOnDevice lora{to_tensor(state.factors[m].a, {rank, in}, at::kFloat, device),
                      to_tensor(state.factors[m].b, {out, rank}, at::kFloat, device), module.scale, {}, -1, 0};
    if (part == TrainedPart::kAB) {
      lora.a_offset = offset;
      offset += rank * in;
    }
    lora.b_offset = offset;
    offset += out * rank;
    adapter.lowest_layer = std::min(adapter.lowest_layer, index / kLinearKinds);
    adapter.layers[index / kLinearKinds][index % kLinearKinds] = std::move(lora);
  }
  return adapter;
}

void put_magnitudes(AdapterOnDevice& on_device, const Adapter& adapter, const Weights& weights) {
  const auto& modules = adapter.lora.layout.modules;
  std::size_t next = 0;  // modules stand in the model's order
  for (std::size_t l = 0; l < on_device.layers.size(); ++l)
    for (std::size_t kind = 0; kind < kLinearKinds; ++kind) {
      auto& lora = on_device.layers[l][kind];
      if (!lora) continue;
      const at::Tensor adapted_OI =
          at::addmm(weights.layers[l].linears[kind].to(at::kFloat), lora->b_Or, lora->a_rI, 1, lora->scale);
      const auto& magnitude = adapter.magnitudes[next];
      const at::Tensor m_O = to_tensor(magnitude, {modules[next].out}, at::kFloat, adapted_OI.device());
      lora->gain_O = m_O / at::linalg_vector_norm(adapted_OI, 2, at::IntArrayRef({1}));
      ++next;
    }
}

PassRowsPtr make_pass(const Pass& pass, std::span<const std::span<const std::int32_t>> sequences,
                      std::span<const std::uint32_t> positions, const Weights& weights) {
  const ModelConfig& c = weights.config;
  const at::Device device = weights.embedding_VC.device();
  auto rows = c10::make_intrusive<PassRows>();
  rows->rows = pass.rows;
  rows->head_dim = c.head_dim;
  std::vector<std::int64_t> ids(pass.rows, 0), position(pass.rows, 0);
  std::map<std::uint32_t, at::Tensor> masks;
  for (const auto& segment : pass.segments) {
    for (std::uint32_t t = 0; t < segment.length; ++t) {
      ids[segment.start + t] = sequences[segment.sequence][t];
      position[segment.start + t] = positions[segment.sequence] + t;
    }
    auto& mask = masks[segment.length];
    if (!mask.defined()) mask = causal_mask(segment.length, c.heads / c.kv_heads, device);
    rows->spans.push_back({segment.start, segment.length, mask});
  }
  rows->ids_R = at::tensor(ids, at::kLong).to(device);
  std::tie(rows->cos_RE, rows->sin_RE) = rotary_angles(at::tensor(position, at::kLong).to(device), c.head_dim, c.rope_theta);
  return rows;
}

at::Tensor final_hidden(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        const Training* training, Caches* caches) {
  const ModelConfig& c = weights.config;
  const std::int64_t rows = pass->rows, heads = c.heads, kv_heads = c.kv_heads, dim = c.head_dim;
  const at::AutoGradMode grad_off(false);
  at::Tensor x_RC = weights.embedding_VC.index_select(0, pass->ids_R);
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const at::AutoGradMode grad(training != nullptr && l >= adapter->lowest_layer);
    const LayerWeights& layer = weights.layers[l];
    const LayerLinears apply(layer, adapter != nullptr ? &adapter->layers[l] : nullptr, l, pass, training);

    const at::Tensor n_RC = rms_norm(x_RC, layer.attention_norm_C, c.rms_eps);
    const at::Tensor q_RHD = apply(kQ, n_RC).view({rows, heads, dim});
    const at::Tensor k_RKD = apply(kK, n_RC).view({rows, kv_heads, dim});
    const at::Tensor v_RKD = apply(kV, n_RC).view({rows, kv_heads, dim});
    const at::Tensor seen_RHD = caches != nullptr ? cached_attention(q_RHD, k_RKD, v_RKD, *pass, (*caches)[l])
                                                  : attention(q_RHD, k_RKD, v_RKD, pass);
    x_RC = x_RC + apply(kO, seen_RHD.view({rows, heads * dim}));

    const at::Tensor m_RC = rms_norm(x_RC, layer.mlp_norm_C, c.rms_eps);
    const at::Tensor gated_RF = swiglu(apply(kGate, m_RC), apply(kUp, m_RC));
    x_RC = x_RC + apply(kDown, gated_RF);
  }
  const at::AutoGradMode grad(training != nullptr);
  return rms_norm(x_RC, weights.norm_C, c.rms_eps);
}

}  // namespace sotto::model
