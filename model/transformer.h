// The Llama forward pass (Touvron et al. 2023, arXiv 2302.13971) over the rows of one pass, in reading order. Internal to
// model/: uses LibTorch. Shapes as in functions.h.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/lora_linear.h"
#include "model/packing.h"

namespace sotto::model {

// A layer's linear layers, in base/adapter.h's order.
enum LinearKind : std::size_t { kQ, kK, kV, kO, kGate, kUp, kDown, kLinearKinds };

struct LayerWeights {
  at::Tensor attention_norm_C;                   // fp32
  at::Tensor mlp_norm_C;                         // fp32
  std::array<at::Tensor, kLinearKinds> linears;  // [out, in] in the base's precision
};

struct Weights {
  ModelConfig config;
  at::Tensor embedding_VC;  // fp32, as everything outside the layers' linears
  std::vector<LayerWeights> layers;
  at::Tensor norm_C;
  at::Tensor head_VC;  // the embedding itself when tied
  std::uint64_t bytes = 0;
  std::map<std::string, at::Tensor> tensors;  // all of the above, by Hugging Face's names
};

Weights load_weights(const Checkpoint& checkpoint, at::ScalarType linear_type, const at::Device& device);

// The same model with parameters of an adapter in place of its own; what is not replaced is shared, not copied.
Weights with_replaced(const Weights& base, const std::map<std::string, Parameter>& replaced);

struct AdapterOnDevice {
  std::vector<std::array<std::optional<LoraOnDevice>, kLinearKinds>> layers;  // one for each layer of the model
  std::size_t lowest_layer = 0;                                               // with LoRA on it
};

// `state` fits the model. `part` says for which factors gradients have a place; A and B start as `state` has them.
AdapterOnDevice put_on_device(const AdapterState& state, TrainedPart part, const ModelConfig& config,
                              const at::Device& device);

// DoRA: the factor m / |W + scale * B A| of each row of each module, for the adapter that was put on device before.
void put_magnitudes(AdapterOnDevice& on_device, const Adapter& adapter, const Weights& weights);

// What training adds to a forward pass.
struct Training {
  SequenceGradientsPtr gradients;
  // The dropout mask of the input of A of one linear layer, asked for in order; none: no dropout.
  std::function<std::optional<at::Tensor>(std::size_t layer, std::int64_t inputs)> dropout;
};

// caches[l][i]: layer l, the pass's i-th sequence.
using Caches = std::vector<std::vector<LayerCache*>>;

// The sequences of one pass; token ids are in the vocabulary. positions[i] is the position of sequence i's first token.
PassRowsPtr make_pass(const Pass& pass, std::span<const std::span<const std::int32_t>> sequences,
                      std::span<const std::uint32_t> positions, const Weights& weights);

// Hidden states after the last layer and its norm: [R, C]. With `training`, differentiable from the lowest LoRA layer up;
// what lies below keeps nothing. With `caches`, for generation.
at::Tensor final_hidden(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        const Training* training = nullptr, Caches* caches = nullptr);

}  // namespace sotto::model
