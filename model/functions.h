// The pieces of a Llama layer besides its linear layers, each with its derivative written out, over the rows of one pass
// (packing.h). Internal to model/: uses LibTorch. Everything here is fp32.
// Shapes: R rows of a pass, C hidden size, H heads, K key/value heads, G = H / K, D head dimension, E = D / 2, F
// intermediate size, T rows of one sequence, S positions that it can see.
#pragma once

#include <vector>

#include "model/packing.h"
#include "model/torch.h"

namespace sotto::model {

// One sequence's rows in a pass.
struct RowSpan {
  std::int64_t start = 0;
  std::int64_t length = 0;
  at::Tensor mask_GTxT;  // 0 where a query sees a key, -inf in its future; the same for the G heads that share a key
};

struct PassRows : torch::CustomClassHolder {
  std::int64_t rows = 0;
  std::int64_t head_dim = 0;
  std::vector<RowSpan> spans;
  at::Tensor ids_R;   // token ids, 0 in rows of no sequence
  at::Tensor cos_RE;  // rotary angles
  at::Tensor sin_RE;
};
using PassRowsPtr = c10::intrusive_ptr<PassRows>;

// Rotary angles (Su et al. 2021, arXiv 2104.09864): position * theta^(-2 e / D), as cosine and sine [R, E].
std::pair<at::Tensor, at::Tensor> rotary_angles(const at::Tensor& positions_R, std::int64_t head_dim, double theta);

// x / sqrt(mean(x^2) + eps) * weight, per row (Zhang, Sennrich 2019, arXiv 1910.07467).
at::Tensor rms_norm(const at::Tensor& x_RC, const at::Tensor& weight_C, double eps);

// silu(gate) * up (Shazeer 2020, arXiv 2002.05202).
at::Tensor swiglu(const at::Tensor& gate_RF, const at::Tensor& up_RF);

// Rotates the pairs (e, e + E) of each head by the row's angle; `direction` -1 rotates back.
at::Tensor rotate(const at::Tensor& x_RHD, const at::Tensor& cos_RE, const at::Tensor& sin_RE, double direction);

// Causal attention of each sequence to itself; q and k are rotated here. Rows of no sequence give zeros.
at::Tensor attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const PassRowsPtr& pass);

// One sequence's keys and values of one layer, for generation.
struct LayerCache {
  at::Tensor k_KSD;  // S: room for the longest continuation
  at::Tensor v_KSD;
  std::int64_t used = 0;
};

// The same without derivative, to what the caches hold and to the new rows, which are appended: caches[i] belongs to
// spans[i].
at::Tensor cached_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const PassRows& pass,
                            std::span<LayerCache*> caches);

}  // namespace sotto::model
