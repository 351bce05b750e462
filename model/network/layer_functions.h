// layer_kernels.h on tensors and on all threads. Internal to model/: uses LibTorch. Shapes as in functions.h and
// lora_linear.h.
#pragma once

#include "model/kernels/layer_kernels.h"
#include "model/network/torch.h"

namespace sotto::model {

// Whether x, fp32 or bf16, lies where the kernels work.
bool takes_layer_kernels(const at::Tensor& x);

// scale * x m^T, and where `rounds` x in bf16; m_rI.
struct Down {
  at::Tensor h_Rr, rounded_RI;
};
Down down_product(const at::Tensor& x_RI, const at::Tensor& m_rI, double scale, bool rounds);

// base + scale * h m in fp32, in place of an fp32 base.
at::Tensor up_product(const at::Tensor& base_RO, const at::Tensor& h_Rr, const at::Tensor& m_rO, double scale);

// scale * h^T x, written to `out` as [r, I] or as [I, r].
enum class Order : std::uint8_t { kRankFirst, kRankLast };
void outer_sum(const at::Tensor& h_Tr, const at::Tensor& x_TI, double scale, Order order, float* out);

struct NormedRows {
  at::Tensor out_RC, scale_R;
};
NormedRows rms_norm_rows(const at::Tensor& x_RC, const at::Tensor& weight_C, double eps);
at::Tensor rms_norm_gradient(const at::Tensor& x_RC, const at::Tensor& weight_C, const at::Tensor& scale_R,
                             const at::Tensor& g_RC);

at::Tensor swiglu_numbers(const at::Tensor& gate_RF, const at::Tensor& up_RF);
std::pair<at::Tensor, at::Tensor> swiglu_gradient(const at::Tensor& gate_RF, const at::Tensor& up_RF,
                                                  const at::Tensor& g_RF);

// x_RHD with its heads' pairs rotated, and back by direction -1.
at::Tensor rotate_rows(const at::Tensor& x_RHD, const at::Tensor& cos_RE, const at::Tensor& sin_RE, double direction);

// In place. Scores [K, G queries, keys], and p and its gradient of the same shape.
void causal_softmax(at::Tensor& scores, const CausalRows& rows);
void causal_softmax_gradient(const at::Tensor& p, at::Tensor& g, const CausalRows& rows);

// The losses [N] of logits_NV, fp32 or bf16, which become weight * (softmax - one-hot). labels_N are int64, weights_N fp32.
at::Tensor losses_and_derivatives(at::Tensor& logits_NV, const at::Tensor& labels_N, const at::Tensor& weights_N);

}  // namespace sotto::model
