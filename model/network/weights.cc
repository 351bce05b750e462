#include "model/network/weights.h"

#include <algorithm>

#include "model/adapter/lora.h"
#include "model/network/placement.h"
#include "model/network/runtime.h"

namespace sotto::model {
namespace {

at::Tensor to_tensor(const std::vector<float>& values, at::IntArrayRef shape, at::ScalarType type,
                     const at::Device& device) {
  // from_blob only looks at the values: copy always, also where type and device are the same.
  return at::from_blob(const_cast<float*>(values.data()), shape, at::kFloat).to(device, type, false, true);
}

// A weight in its type, on the device.
at::Tensor load_weight(const Checkpoint& checkpoint, const WeightInfo& info, at::ScalarType type, const at::Device& device) {
  const at::Tensor out = at::empty(std::vector<std::int64_t>(info.shape.begin(), info.shape.end()), type);
  read_numbers(checkpoint, info, out);
  checkpoint.done_with(info.name);
  return out.to(device);
}

using PackedMatrices = std::map<std::string, c10::intrusive_ptr<PackedMatrix>>;

Weights assemble(const ModelConfig& c, std::map<std::string, at::Tensor> tensors, PackedMatrices packed) {
  Weights w{c, {}, {}, {}, {}, {}, 0, {}, {}};
  const auto optional = [&](const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? at::Tensor() : found->second;
  };
  const auto norm = [&](const std::string& layer, const std::string& name) {
    return name.empty() ? NormWeights{}
                        : NormWeights{tensors.at(layer + name + ".weight"), optional(layer + name + ".bias")};
  };
  const auto matrix = [&](const std::string& name) -> FrozenMatrix {
    const auto found = packed.find(name);
    if (found != packed.end()) return found->second;
    return tensors.at(name);
  };
  const auto outer = outer_names(c);
  const auto names = norm_names(c);
  w.embedding_VC = tensors.at(outer.embedding + ".weight");
  if (c.learned_positions) w.positions_SC = tensors.at(outer.positions + ".weight");
  w.norm = norm("", outer.norm);
  for (std::uint32_t l = 0; l < c.layers; ++l) {
    const std::string at = layer_prefix(c, l);
    LayerWeights layer{at::kCPU,
                       norm(at, names.attention),
                       norm(at, names.mlp),
                       norm(at, names.attention_output),
                       norm(at, names.mlp_output),
                       norm(at, names.q),
                       norm(at, names.k),
                       {}};
    for (const auto& linear : layer_linears(c))
      layer.linears[linear.kind] = {matrix(at + linear.path + ".weight"), optional(at + linear.path + ".bias")};
    layer.device = layer.linears[kDown].weight_OI.example().device();
    w.layers.push_back(std::move(layer));
  }
  w.head = {tensors.at(outer.head + ".weight"), {}, c.logit_softcap};
  w.tensors = std::move(tensors);
  w.packed = std::move(packed);
  return w;
}

// Where each weight of a model goes, in the form that it is to have.
class Layout {
 public:
  Layout(const Checkpoint& checkpoint, const BaseForm& form) : form_(form), config_(checkpoint.config()) {
    LayerBytes bytes{0, std::vector<std::uint64_t>(config_.layers), 0};
    for (const auto& info : checkpoint.weights()) {
      std::uint64_t size = is_linear(info) ? at::elementSize(form.linear_type) : sizeof(float);
      for (const auto n : info.shape) size *= n;
      if (stays_packed(info)) size = checkpoint.stored_bytes(info.name);
      const auto layer = layer_of(info);
      (layer ? bytes.layers[*layer] : is_of_head(info) ? bytes.behind : bytes.before) += size;
    }
    if (config_.tied_embeddings && form.devices.size() > 1) bytes.behind += bytes.before;
    std::vector<double> room;
    for (const auto& device : form.devices) room.push_back(free_room(device));
    places_ = place_layers(bytes, room);
  }

  bool is_linear(const WeightInfo& info) const { return layer_of(info) && info.shape.size() == 2; }
  bool stays_packed(const WeightInfo& info) const { return form_.keeps_blocks && is_linear(info); }
  at::ScalarType type_of(const WeightInfo& info) const { return is_linear(info) ? form_.linear_type : at::kFloat; }
  const at::Device& device_of(const WeightInfo& info) const {
    const auto layer = layer_of(info);
    return layer ? form_.devices[places_[*layer]] : is_of_head(info) ? form_.devices.back() : form_.devices.front();
  }

 private:
  std::optional<std::size_t> layer_of(const WeightInfo& info) const {
    const std::string first = layer_prefix(config_, 0), layers = first.substr(0, first.size() - 2);  // "model.layers."
    if (!info.name.starts_with(layers)) return std::nullopt;
    return std::stoul(info.name.substr(layers.size()));
  }
  bool is_of_head(const WeightInfo& info) const {
    const auto outer = outer_names(config_);
    return info.name.starts_with(outer.norm + ".") || info.name.starts_with(outer.head + ".");
  }

  const BaseForm& form_;
  const ModelConfig& config_;
  std::vector<std::size_t> places_;  // of the layers, in form.devices
};

}  // namespace

Weights load_weights(std::shared_ptr<const Checkpoint> checkpoint, const BaseForm& form) {
  const ModelConfig& c = checkpoint->config();
  const Layout layout(*checkpoint, form);
  std::map<std::string, std::shared_ptr<UnpackBuffer>> buffers;  // of each device
  for (const auto& device : form.devices)
    buffers[device.str()] =
        std::make_shared<UnpackBuffer>(at::empty({0}, at::TensorOptions(device).dtype(form.linear_type)));
  std::map<std::string, at::Tensor> tensors;
  PackedMatrices packed;
  std::uint64_t bytes = 0;
  for (const auto& info : checkpoint->weights()) {
    const at::Device& device = layout.device_of(info);
    if (layout.stays_packed(info)) {
      const auto matrix = c10::make_intrusive<PackedMatrix>(checkpoint, info, device, buffers.at(device.str()));
      bytes += matrix->bytes();
      packed.emplace(info.name, matrix);
      continue;
    }
    const auto tensor = load_weight(*checkpoint, info, layout.type_of(info), device);
    bytes += static_cast<std::uint64_t>(tensor.nbytes());
    tensors.emplace(info.name, tensor);
  }
  const auto outer = outer_names(c);
  if (c.tied_embeddings) tensors[outer.head + ".weight"] = tensors.at(outer.embedding + ".weight").to(form.devices.back());
  for (const auto& [name, buffer] : buffers) bytes += static_cast<std::uint64_t>(buffer->numbers.nbytes());
  Weights weights = assemble(c, std::move(tensors), std::move(packed));
  weights.bytes = bytes;
  return weights;
}

void prepare_head(Weights& weights) {
  OutputHead& head = weights.head;
  if (head.rounded_VC.defined()) return;
  const auto kind = layer_linears(weights.config).front().kind;
  head.rounded_VC = head.weight_VC.to(weights.layers.front().linears[kind].weight_OI.scalar_type());
}

Weights with_replaced(const Weights& base, const std::map<std::string, Parameter>& replaced) {
  if (replaced.empty()) return base;
  auto tensors = base.tensors;
  auto packed = base.packed;
  for (const auto& [name, parameter] : replaced) {
    const auto blocks = packed.find(name);
    const at::TensorOptions as = (blocks == packed.end() ? tensors.at(name) : blocks->second->buffer()).options();
    const std::vector<std::int64_t> sizes(parameter.shape.begin(), parameter.shape.end());
    tensors[name] = to_tensor(parameter.values, sizes, c10::typeMetaToScalarType(as.dtype()), as.device());
    if (blocks != packed.end()) packed.erase(blocks);
  }
  Weights weights = assemble(base.config, std::move(tensors), std::move(packed));
  weights.bytes = base.bytes;
  return weights;
}

AdapterOnDevice put_on_device(const AdapterState& state, TrainedPart part, const Weights& weights) {
  const ModelConfig& config = weights.config;
  AdapterOnDevice adapter;
  adapter.layers.resize(config.layers);
  adapter.lowest_layer = config.layers;
  const auto all = linear_modules(config);
  const auto kinds = layer_linears(config);
  std::int64_t offset = 0;
  for (std::size_t m = 0; m < state.factors.size(); ++m) {
    const auto& module = state.layout.modules[m];
    const auto at_index = std::ranges::find(all, module.path, &LoraModule::path);
    SOTTO_CHECK(at_index != all.end());
    const auto index = static_cast<std::size_t>(at_index - all.begin());
    const std::int64_t rank = module.rank, in = module.in, out = module.out;
    const std::size_t layer = index / kinds.size();
    const at::Device& device = weights.layers[layer].device;
    LoraOnDevice lora;
    lora.a_rI = to_tensor(state.factors[m].a, {rank, in}, at::kFloat, device);
    lora.b_Or = to_tensor(state.factors[m].b, {out, rank}, at::kFloat, device);
    lora.b_rO = lora.b_Or.t().contiguous();
    lora.scale = module.scale;
    if (part != TrainedPart::kB) {
      lora.a_offset = offset;
      offset += rank * in;
    }
    if (part != TrainedPart::kA) {
      lora.b_offset = offset;
      offset += out * rank;
    }
    adapter.lowest_layer = std::min(adapter.lowest_layer, layer);
    adapter.layers[layer][kinds[index % kinds.size()].kind] = std::move(lora);
  }
  if (!state.prompt.empty()) {
    const auto& shape = state.layout.prompt;
    adapter.prompt_PC = to_tensor(state.prompt, {shape.tokens, shape.width}, at::kFloat, weights.embedding_VC.device());
    adapter.lowest_layer = 0;
  }
  return adapter;
}

at::Tensor row_norms(const FrozenMatrix& weight_OI, const LoraOnDevice& lora) {
  const at::Tensor adapted_OI = at::addmm(weight_OI.numbers_OI().to(at::kFloat), lora.b_Or, lora.a_rI, 1, lora.scale);
  return at::linalg_vector_norm(adapted_OI, 2, at::IntArrayRef({1}));
}

void put_magnitudes(AdapterOnDevice& on_device, const Adapter& adapter, TrainedPart part, const Weights& weights) {
  const auto& modules = adapter.lora.layout.modules;
  auto offset = static_cast<std::int64_t>(adapter.lora.layout.trained_size(part));
  std::size_t next = 0;  // modules stand in the model's order
  for (std::size_t l = 0; l < on_device.layers.size(); ++l)
    for (std::size_t kind = 0; kind < kLinearKinds; ++kind) {
      auto& lora = on_device.layers[l][kind];
      if (!lora) continue;
      const std::int64_t out = modules[next].out;
      lora->norm_O = row_norms(weights.layers[l].linears[kind].weight_OI, *lora);
      lora->gain_O = to_tensor(adapter.magnitudes[next], {out}, at::kFloat, lora->norm_O.device()) / lora->norm_O;
      lora->m_offset = offset;
      offset += out;
      ++next;
    }
}

}  // namespace sotto::model
