// The textbook forward pass of one sequence in fp32 with nothing of ours in it: LibTorch's own operations and derivatives,
// written down a second time. What the self-check compares with. Internal to model/: uses LibTorch.
#pragma once

#include "model/inference/model_state.h"

namespace sotto::model {

class PlainModel {
 public:
  PlainModel(const Weights& weights, const AdapterState& adapter);

  // Gradient of the mean loss over the labelled tokens, in the update vector's order.
  std::vector<float> gradient(const TrimmedExample& example, TrainedPart part);
  // The same by every parameter of the model, in weight_infos' order.
  std::vector<float> whole_gradient(const TrimmedExample& example);

 private:
  // A, B of one module as leaves of plain automatic differentiation.
  struct Leaves {
    at::Tensor a;
    at::Tensor b;
    double scale = 1;
  };
  at::Tensor norm(const at::Tensor& x, const NormWeights& norm) const;
  at::Tensor linear(const at::Tensor& x, std::size_t layer, LinearKind kind) const;
  at::Tensor rotated(const at::Tensor& x_HTD) const;
  at::Tensor attention(const at::Tensor& n_TC, std::size_t layer) const;
  at::Tensor hidden(std::span<const std::int32_t> ids) const;
  at::Tensor loss(const TrimmedExample& example) const;

  const Weights& w_;
  at::Tensor prompt_PC_;  // a leaf, too; undefined: none
  std::vector<std::array<std::optional<Leaves>, kLinearKinds>> layers_;
};

}  // namespace sotto::model
