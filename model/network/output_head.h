// The output head: from final hidden states to losses and log-probabilities. Only the rows that are asked for meet the
// vocabulary, some at a time, so that no [rows, vocabulary] matrix of a whole pass ever exists, and a row's result does not
// depend on the others. Products are in the base's precision where the CPU has kernels for it; losses and log-probabilities
// are fp32 throughout. Internal to model/: uses LibTorch. Shapes: R rows of a pass, C hidden size, V vocabulary, N rows
// asked for.
#pragma once

#include <vector>

#include "model/network/torch.h"

namespace sotto::model {

inline constexpr std::int64_t kHeadRows = 32;
// For training, where a sequence has many labels: a product of this height runs at a third more of the CPU's rate.
inline constexpr std::int64_t kTallHeadRows = 128;

// All heights that products of training may have, from the largest: more logits than 2^24 are never made at once, if 32 rows
// of them are not more already.
std::vector<std::int64_t> head_heights(std::int64_t vocabulary);

struct OutputHead {
  at::Tensor weight_VC;   // fp32
  at::Tensor rounded_VC;  // the same in the precision of the base's linears: what is multiplied with; prepare_head
                          // (weights.h) makes it
  double softcap = 0;     // c: logits become c tanh(logit / c); 0: they stay
};

// Rows whose next token is known.
struct Targets {
  std::vector<std::int64_t> rows;    // of a pass
  std::vector<std::int64_t> labels;  // the next token of each
  std::vector<float> weights;        // of its loss in the sum that is differentiated
  // How many rows meet the vocabulary at a time in training, from the largest: as many as fill a height, the last ones with
  // rows of zeros behind them.
  std::vector<std::int64_t> heights = {kHeadRows};
};

struct TokenLosses {
  std::vector<float> loss;    // -log p(label)
  std::vector<bool> correct;  // the label has the largest logit (of equal ones the lowest id)
};
TokenLosses token_losses(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets);

// The sum of all losses, and the derivative of sum(weights * loss) by x [R, C]: what a backward pass through the model
// starts from. It is made on the way, chunk by chunk: softmax minus one-hot, times the head.
std::pair<double, at::Tensor> loss_and_gradient(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets);

// The same with what the gradient of the head's matrix is made of: derivative_NV^T x_NC. N: the labelled rows, in order.
struct OutputHeadGradient {
  double loss_sum = 0;
  at::Tensor gradient_RC;
  at::Tensor derivative_NV;  // of the weighted losses by the logits before the soft cap
  at::Tensor x_NC;
};
OutputHeadGradient loss_and_derivative(const at::Tensor& x_RC, const OutputHead& head, const Targets& targets);

// Logits of each row of x_NC: [N, V]. For few rows. prepare_head comes first, here and for token_losses.
at::Tensor all_logits(const at::Tensor& x_NC, const OutputHead& head);

}  // namespace sotto::model
