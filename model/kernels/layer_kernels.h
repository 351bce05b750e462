// What a training pass does besides products with the model's matrices: LoRA's products of a few columns, norms,
// activations, softmaxes and losses. LibTorch takes several sweeps through memory for each of them; here each is one. Every
// function works on the rows [first, end) of its arrays, and a row's bits depend on that row alone, whatever rows and
// threads work beside it. Plain arrays, no tensors; pure functions. A bf16 number is the upper half of an fp32 one.
#pragma once

#include <cstdint>

namespace sotto::model {

// Whether this CPU has what they need: AVX-512, for bf16 numbers with its BF16 instructions. Without, none of them may be
// called.
bool has_layer_kernels(bool bf16);

// h[r, k] = scale * sum_i x[r, i] m[k, i], and x itself in bf16 where it is asked for. x [rows, in], m [rank, in], h [rows,
// rank].
struct DownProduct {
  const float* x;
  const float* m;
  float* h;
  std::uint16_t* rounded;  // [rows, in], or null
  std::int64_t rows, in, rank;
  float scale;
};
void down_product(const DownProduct& p, std::int64_t first, std::int64_t end);

// y[r, o] = base[r, o] + scale * sum_k h[r, k] m[k, o]. base and y [rows, out], h [rows, rank], m [rank, out]. base is fp32,
// and may be y itself, or bf16.
struct UpProduct {
  const void* base;
  bool bf16;
  const float* h;
  const float* m;
  float* y;
  std::int64_t rows, out, rank;
  float scale;
};
void up_product(const UpProduct& p, std::int64_t first, std::int64_t end);

// out[k, i] = scale * sum_t h[t, k] x[t, i] for the columns i in [first, end), which are whole multiples of kColumns but for
// the last. h [rows, rank], x [rows, in]; out [rank, in], or [in, rank] where it is transposed.
struct OuterSum {
  static constexpr std::int64_t kColumns = 32;
  const float* h;
  const float* x;
  float* out;
  bool transposed;
  std::int64_t rows, in, rank;
  float scale;
};
void outer_sum(const OuterSum& p, std::int64_t first, std::int64_t end);

// out = x s weight with s = 1 / sqrt(mean(x^2) + eps), which is kept for the way back: gx = s w g - x s^3 mean(w g x).
// x, out, g and gx [rows, columns], scale [rows].
struct RmsNormRows {
  const float* x;
  const float* weight;
  std::int64_t columns;
};
void rms_norm_rows(const RmsNormRows& p, double eps, float* out, float* scale, std::int64_t first, std::int64_t end);
void rms_norm_gradient(const RmsNormRows& p, const float* scale, const float* g, float* gx, std::int64_t first,
                       std::int64_t end);

// out = silu(gate) up, and the gradients of both from that of out. Any shape: numbers [first, end).
void swiglu_numbers(const float* gate, const float* up, float* out, std::int64_t first, std::int64_t end);
struct SwiGluGradient {
  const float* gate;
  const float* up;
  const float* g;
  float* g_gate;
  float* g_up;
};
void swiglu_gradient(const SwiGluGradient& p, std::int64_t first, std::int64_t end);

// Scores of causal attention, [rows, keys]: row r is that of query r % queries, which stands where key `before` + r %
// queries does, and sees `window` keys up to that one (0: all). In place: p = softmax(scale * score) over what it sees, 0
// elsewhere; and on the way back, from the gradient g of p, that of the scores: scale * p (g - sum(g p)).
struct CausalRows {
  std::int64_t queries, keys, before, window;
  float scale;
};
void causal_softmax(const CausalRows& c, float* scores, std::int64_t first, std::int64_t end);
void causal_softmax_gradient(const CausalRows& c, const float* p, float* g, std::int64_t first, std::int64_t end);

// Of each row of logits, [rows, vocabulary], fp32 or bf16: the loss -log softmax(logits)[label], and in the logits' place
// its derivative times `weight`: weight * (softmax - one-hot).
struct LossRows {
  void* logits;
  bool bf16;
  const std::int64_t* labels;  // [rows]
  const float* weights;        // [rows]
  float* losses;               // [rows]
  std::int64_t vocabulary;
};
void losses_and_derivatives(const LossRows& p, std::int64_t first, std::int64_t end);

}  // namespace sotto::model
