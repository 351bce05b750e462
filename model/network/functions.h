// The pieces of a layer besides its linear layers, each with its derivative written out, over the rows of one pass
// (packing.h). Internal to model/: uses LibTorch. Everything here is fp32.
// Shapes: R rows of a pass, C hidden size, H heads, K key/value heads, G = H / K, D head dimension, E = D / 2, F
// intermediate size, T rows of one sequence, S positions that it can see.
#pragma once

#include <vector>

#include "model/network/packing.h"
#include "model/network/torch.h"

namespace sotto::model {

// One sequence's rows in a pass.
struct RowSpan {
  std::int64_t start = 0;
  std::int64_t length = 0;
  // Undefined under masks_by_position.
  at::Tensor mask_GTxT;          // 0 where a query sees a key, -inf in its future; the same for the G heads that share a key
  at::Tensor sliding_mask_GTxT;  // the same of sliding layers; undefined where the model has none
};

struct PassRows : torch::CustomClassHolder {
  std::int64_t rows = 0;
  std::int64_t head_dim = 0;
  std::vector<RowSpan> spans;
  at::Tensor ids_R;                          // token ids, 0 in rows of no sequence and of the soft prompt
  at::Tensor prompt_rows_N, prompt_index_N;  // rows of the soft prompt, and which of its tokens each is; undefined: none
  at::Tensor position_R;
  at::Tensor cos_RE;  // rotary angles; undefined where positions are learned
  at::Tensor sin_RE;
};
using PassRowsPtr = c10::intrusive_ptr<PassRows>;

// Rotary angles (Su et al. 2021, arXiv 2104.09864): position * theta^(-2 e / D) / divisor_e, as cosine and sine [R, E].
// No divisors: 1.
std::pair<at::Tensor, at::Tensor> rotary_angles(const at::Tensor& positions_R, std::int64_t head_dim, double theta,
                                                std::span<const float> divisors);

// x / sqrt(mean(x^2) + eps) * weight, per row (Zhang, Sennrich 2019, arXiv 1910.07467).
at::Tensor rms_norm(const at::Tensor& x_RC, const at::Tensor& weight_C, double eps);

// (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, per row (Ba, Kiros, Hinton 2016, arXiv 1607.06450).
at::Tensor layer_norm(const at::Tensor& x_RC, const at::Tensor& weight_C, const at::Tensor& bias_C, double eps);

// silu(gate) * up (Shazeer 2020, arXiv 2002.05202).
at::Tensor swiglu(const at::Tensor& gate_RF, const at::Tensor& up_RF);

// gelu(x) in its tanh form (Hendrycks, Gimpel 2016, arXiv 1606.08415), and gelu(gate) * up.
at::Tensor gelu_tanh(const at::Tensor& x_RF);
at::Tensor geglu(const at::Tensor& gate_RF, const at::Tensor& up_RF);

// Rotates the pairs (e, e + E) of each head by the row's angle; `direction` -1 rotates back. Without angles: x itself.
at::Tensor rotate(const at::Tensor& x_RHD, const at::Tensor& cos_RE, const at::Tensor& sin_RE, double direction);

// How a layer attends: softmax(softcap(scale Q K^T) + mask) V, softcap(s) = c tanh(s / c), or s where c is 0.
struct AttentionForm {
  double scale = 1;
  double softcap = 0;
  std::int64_t window = 0;  // positions that a query sees, itself included; 0: all before it
};

// Whether attention finds out by a query's position what it sees, and needs no masks: by the kernels of layer_kernels.h,
// which have no soft cap. `like`: any tensor that lies where the attention works.
bool masks_by_position(const at::Tensor& like, double softcap);

// Causal attention of each sequence to itself; q and k are rotated here. Rows of no sequence give zeros.
at::Tensor attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const PassRowsPtr& pass,
                     const AttentionForm& form);

// The same without derivative; only the order of sums differs.
at::Tensor inference_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD,
                               const PassRowsPtr& pass, const AttentionForm& form);

// One sequence's keys and values of one layer, for generation.
struct LayerCache {
  at::Tensor k_KSD;  // S: room for the longest continuation
  at::Tensor v_KSD;
  std::int64_t used = 0;
};

// The same without derivative, to what the caches hold and to the new rows, which are appended: caches[i] belongs to
// spans[i].
struct CachedPass {
  const PassRows& pass;
  std::span<LayerCache*> caches;
};
at::Tensor cached_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const CachedPass& at,
                            const AttentionForm& form);

}  // namespace sotto::model
