#include "model/training/plain_model.h"

#include <limits>
#include <numbers>

namespace sotto::model {
namespace {

at::Tensor to_longs(auto values, const at::Device& device) {
  return at::tensor(std::vector<std::int64_t>(values.begin(), values.end()), at::kLong).to(device);
}

at::Tensor capped(const at::Tensor& x, double softcap) { return softcap == 0 ? x : softcap * at::tanh(x / softcap); }

at::Tensor textbook_gelu(const at::Tensor& x) {
  return 0.5 * x * (1 + at::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * at::pow(x, 3))));
}

std::vector<float> gradients_of(const std::vector<at::Tensor>& leaves) {
  std::vector<float> out;
  std::size_t numbers = 0;
  for (const auto& leaf : leaves) numbers += static_cast<std::size_t>(leaf.numel());
  out.reserve(numbers);  // of a whole model, twice as many would be held while it grows
  for (const auto& leaf : leaves) {
    const at::Tensor g = leaf.grad().to(at::kFloat).cpu().contiguous();
    out.insert(out.end(), g.const_data_ptr<float>(), g.const_data_ptr<float>() + g.numel());
  }
  return out;
}

// x W^T of a matrix that no gradient is wanted by. Plain differentiation would keep every layer's in fp32 until it goes
// back.
class FrozenProduct : public torch::autograd::Function<FrozenProduct> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const FrozenMatrix& weight_OI) {
    ctx->saved_data["weight"] = weight_OI.saved();
    return at::mm(x, weight_OI.numbers_OI().to(at::kFloat).t());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    return {at::mm(grads[0], FrozenMatrix::from(ctx->saved_data["weight"]).numbers_OI().to(at::kFloat)), {}};
  }
};

}  // namespace

PlainModel::PlainModel(const Weights& weights, const AdapterState& adapter) : w_(weights), layers_(weights.config.layers) {
  const auto on_device = put_on_device(adapter, TrainedPart::kAB, w_);
  for (std::size_t l = 0; l < layers_.size(); ++l)
    for (std::size_t kind = 0; kind < kLinearKinds; ++kind)
      if (const auto& lora = on_device.layers[l][kind])
        layers_[l][kind] =
            Leaves{lora->a_rI.clone().set_requires_grad(true), lora->b_Or.clone().set_requires_grad(true), lora->scale};
  if (on_device.prompt_PC.defined()) prompt_PC_ = on_device.prompt_PC.clone().set_requires_grad(true);
}

std::vector<float> PlainModel::gradient(const TrimmedExample& example, TrainedPart part) {
  const at::AutoGradMode grad(true);
  std::vector<at::Tensor> wanted;
  for (auto& layer : layers_)
    for (auto& leaves : layer) {
      if (!leaves) continue;
      leaves->a.mutable_grad().reset();
      leaves->b.mutable_grad().reset();
      if (part != TrainedPart::kB) wanted.push_back(leaves->a);
      if (part != TrainedPart::kA) wanted.push_back(leaves->b);
    }
  if (prompt_PC_.defined()) {
    prompt_PC_.mutable_grad().reset();
    wanted.push_back(prompt_PC_);
  }
  loss(example).backward();
  return gradients_of(wanted);
}

std::vector<float> PlainModel::whole_gradient(const TrimmedExample& example) {
  const at::AutoGradMode grad(true);
  std::vector<at::Tensor> wanted;
  for (const auto& info : weight_infos(w_.config)) {
    wanted.push_back(w_.tensors.at(info.name).set_requires_grad(true));
    wanted.back().mutable_grad().reset();
  }
  loss(example).backward();
  auto out = gradients_of(wanted);
  for (auto& leaf : wanted) {
    leaf.mutable_grad().reset();
    leaf.set_requires_grad(false);
  }
  return out;
}

at::Tensor PlainModel::loss(const TrimmedExample& example) const {
  const auto device = w_.head.weight_VC.device();
  const std::int64_t behind = prompt_PC_.defined() ? prompt_PC_.size(0) : 0;
  const at::Tensor x = hidden(example.ids).index_select(0, to_longs(example.rows, device) + behind);
  return at::cross_entropy_loss(capped(at::mm(x, w_.head.weight_VC.t()), w_.head.softcap), to_longs(example.labels, device));
}

at::Tensor PlainModel::norm(const at::Tensor& x, const NormWeights& norm) const {
  if (!norm.weight_C.defined()) return x;
  const at::Tensor centred = norm.bias_C.defined() ? x - at::mean(x, {-1}, true) : x;
  const at::Tensor unit = centred * at::rsqrt(at::mean(centred * centred, {-1}, true) + w_.config.norm_eps);
  return norm.bias_C.defined() ? unit * norm.weight_C + norm.bias_C : unit * norm.weight_C;
}

at::Tensor PlainModel::linear(const at::Tensor& x, std::size_t layer, LinearKind kind) const {
  const LinearWeights& weights = w_.layers[layer].linears[kind];
  const FrozenMatrix& matrix = weights.weight_OI;
  at::Tensor y = matrix.example().requires_grad() ? at::mm(x, matrix.numbers_OI().to(at::kFloat).t())  // whole_gradient
                                                  : FrozenProduct::apply(x, matrix);
  if (weights.bias_O.defined()) y = y + weights.bias_O;
  const auto& leaves = layers_[layer][kind];
  return leaves ? y + leaves->scale * at::mm(at::mm(x, leaves->a.t()), leaves->b.t()) : y;
}

at::Tensor PlainModel::rotated(const at::Tensor& x_HTD) const {
  const ModelConfig& c = w_.config;
  if (c.learned_positions) return x_HTD;
  const auto [cos_TE, sin_TE] =
      rotary_angles(at::arange(x_HTD.size(1), x_HTD.options().dtype(at::kLong)), c.head_dim, c.rope_theta, c.rope_divisors);
  const auto halves = x_HTD.chunk(2, 2);
  return at::cat({halves[0] * cos_TE - halves[1] * sin_TE, halves[1] * cos_TE + halves[0] * sin_TE}, 2);
}

at::Tensor PlainModel::attention(const at::Tensor& n_TC, std::size_t layer) const {
  const ModelConfig& c = w_.config;
  const std::int64_t length = n_TC.size(0), heads = c.heads, kv_heads = c.kv_heads, dim = c.head_dim;
  const auto by_head = [&](const at::Tensor& x, std::int64_t count) {
    return x.reshape({length, count, dim}).transpose(0, 1);
  };
  at::Tensor q, k, v;
  if (c.fused_qkv) {
    const auto parts = linear(n_TC, layer, kQkv).split_with_sizes({heads * dim, kv_heads * dim, kv_heads * dim}, 1);
    q = by_head(parts[0], heads), k = by_head(parts[1], kv_heads), v = by_head(parts[2], kv_heads);
  } else {
    q = norm(by_head(linear(n_TC, layer, kQ), heads), w_.layers[layer].q_norm);
    k = norm(by_head(linear(n_TC, layer, kK), kv_heads), w_.layers[layer].k_norm);
    v = by_head(linear(n_TC, layer, kV), kv_heads);
  }
  k = rotated(k).repeat_interleave(heads / kv_heads, 0);
  v = v.repeat_interleave(heads / kv_heads, 0);
  const at::Tensor position = at::arange(length, n_TC.options().dtype(at::kLong));
  const at::Tensor distance = position.unsqueeze(1) - position.unsqueeze(0);  // query minus key
  at::Tensor unseen = at::lt(distance, 0);
  if (c.is_sliding(layer)) unseen = at::logical_or(unseen, at::ge(distance, static_cast<std::int64_t>(c.sliding_window)));
  const at::Tensor scores = capped(c.attention_scale * at::bmm(rotated(q), k.transpose(1, 2)), c.attention_softcap);
  const at::Tensor p = at::softmax(scores.masked_fill(unseen, -std::numeric_limits<float>::infinity()), -1);
  return linear(at::bmm(p, v).transpose(0, 1).reshape({length, heads * dim}), layer, kO);
}

at::Tensor PlainModel::hidden(std::span<const std::int32_t> ids) const {
  const ModelConfig& c = w_.config;
  at::Tensor x = w_.embedding_VC.index_select(0, to_longs(ids, w_.embedding_VC.device())) * c.embedding_scale;
  if (prompt_PC_.defined()) x = at::cat({prompt_PC_, x});
  if (w_.positions_SC.defined()) x = x + w_.positions_SC.narrow(0, 0, x.size(0));
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const LayerWeights& layer = w_.layers[l];
    x = x.to(layer.device);
    x = x + norm(attention(norm(x, layer.attention_norm), l), layer.attention_output_norm);
    const at::Tensor m = norm(x, layer.mlp_norm);
    const at::Tensor gate = linear(m, l, c.gated_mlp ? kGate : kUp);
    const at::Tensor active = c.activation == Activation::kSilu ? gate * at::sigmoid(gate) : textbook_gelu(gate);
    x = x + norm(linear(c.gated_mlp ? active * linear(m, l, kUp) : active, l, kDown), layer.mlp_output_norm);
  }
  return norm(x.to(w_.head.weight_VC.device()), w_.norm);
}

}  // namespace sotto::model
