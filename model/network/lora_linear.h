// A linear layer with LoRA on it: y = W x + scale * B (A x), Hu et al. 2021, arXiv 2106.09685. Its backward pass makes the
// gradients of A and B for each sequence of the pass alone, where autograd would make their sum: there is no second backward
// pass and no summed gradient besides (the cost is that of the summed gradient: the same products, cut at the sequences'
// borders). Internal to model/: uses LibTorch. Shapes: R rows of a pass, I inputs, O outputs, r rank, N sequences, P trained
// numbers. DoRA (Liu et al. 2024, arXiv 2402.09353) on the same terms: y = m / |W + scale * B A| * (W x + scale * B A x).
#pragma once

#include <optional>

#include "model/network/frozen_matrix.h"
#include "model/network/functions.h"

namespace sotto::model {

struct LoraOnDevice {
  at::Tensor a_rI;  // fp32
  at::Tensor b_Or;  // fp32
  at::Tensor b_rO;  // the same, as products read it
  double scale = 1;
  at::Tensor gain_O;           // DoRA's factor m / norm of each row, fp32; undefined: plain LoRA
  at::Tensor norm_O;           // its |W + scale * B A|
  std::int64_t a_offset = -1;  // where the gradients lie in the vector of trained numbers; -1: A is not trained
  std::int64_t b_offset = -1;  // -1: B is not
  std::int64_t m_offset = 0;   // of DoRA's magnitude
};

// Where a backward pass leaves its gradients: row n belongs to the pass's n-th sequence.
struct SequenceGradients : torch::CustomClassHolder {
  at::Tensor rows_NP;  // fp32
  at::Tensor anchor;   // any tensor that requires a gradient: it makes autograd visit every LoRA layer
};
using SequenceGradientsPtr = c10::intrusive_ptr<SequenceGradients>;

// x W^T in fp32; the product itself takes x in W's precision and rounds to it. Few rows (a step of generation) take the
// kernels of step_kernels.h where the CPU has them; those do not round the result.
at::Tensor product(const at::Tensor& x_RI, const at::Tensor& weight_OI);

// Without LoRA.
at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI);

// With LoRA, for inference.
at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI, const LoraOnDevice& lora);

// With LoRA, for training. dropout_RI, if there is one, multiplies the input of A: 0 or 1 / (1 - p).
at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI, const LoraOnDevice& lora,
                        const PassRowsPtr& pass, const SequenceGradientsPtr& gradients,
                        const std::optional<at::Tensor>& dropout_RI);

// The embeddings as they are. Its backward pass leaves each sequence's gradient by the soft prompt, whose rows stand first
// in the sequence.
at::Tensor with_prompt_gradient(const at::Tensor& x_RC, const PassRowsPtr& pass, const SequenceGradientsPtr& gradients);

}  // namespace sotto::model
