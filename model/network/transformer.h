// The forward pass of a decoder-only transformer (architectures: model_config.h) over the rows of one pass, in reading
// order. Internal to model/: uses LibTorch. Shapes as in functions.h.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "model/network/packing.h"
#include "model/network/weights.h"
#include "model/network/whole_gradients.h"

namespace sotto::model {

// What training adds to a forward pass: for an adapter `gradients`, for the whole model `whole`.
struct TrainingPass {
  SequenceGradientsPtr gradients;
  WholeGradientsPtr whole;
  // The dropout mask of the input of A of one linear layer, on the CPU, asked for in order; none: no dropout.
  std::function<std::optional<at::Tensor>(std::size_t layer, std::int64_t inputs)> dropout;
  std::function<void(std::size_t layer)> begin_layer;  // before a layer asks for its masks
  // Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): of each layer only its input is kept, and the layer is
  // computed once more, bit for bit, when its gradient is wanted.
  bool recomputes_layers = false;
};

// caches[l][i]: layer l, the pass's i-th sequence.
using Caches = std::vector<std::vector<LayerCache*>>;

// The sequences of one pass; token ids are in the vocabulary, or its size plus k for the k-th token of the adapter's prompt.
// positions[i] is the position of sequence i's first token.
PassRowsPtr make_pass(const Pass& pass, std::span<const std::span<const std::int32_t>> sequences,
                      std::span<const std::uint32_t> positions, const Weights& weights);

// Hidden states after the last layer and its norm: [R, C]. With `training`, differentiable from the lowest LoRA layer up;
// what lies below keeps nothing. With `caches`, for generation.
at::Tensor final_hidden(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass,
                        const TrainingPass* training = nullptr, Caches* caches = nullptr);

// Of the first `layers` layers alone, without the last norm; for inference.
at::Tensor hidden_after(const Weights& weights, const AdapterOnDevice* adapter, const PassRowsPtr& pass, std::size_t layers);

}  // namespace sotto::model
