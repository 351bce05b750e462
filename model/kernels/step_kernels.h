// What a step of generation consists of: products of few rows with a matrix, and one query's attention to kept keys and
// values. LibTorch's kernels are made for many rows; with a handful the time goes into reading the matrix once, and into the
// calls. A row's result does not depend on the other rows. Plain arrays, no tensors; pure functions. The threads are the
// caller's: each works on a range of its own.
#pragma once

#include <cstdint>

namespace sotto::model {

// Rows up to which these kernels are used.
inline constexpr std::int64_t kFewRows = 24;

// Whether this CPU has what they need: AVX-512, for bf16 matrices with its BF16 instructions.
bool has_step_kernels(bool bf16);

// y[r, o] = sum_i x[r, i] w[o, i] for o in [first, end), summed in fp32. x [rows, in], y [rows, out]; w [out, in] is fp32,
// or bf16, then x is rounded to bf16, too.
struct FewRows {
  const float* x;
  const void* w;
  bool bf16;
  float* y;
  std::int64_t rows, in, out;
};
void few_rows_product(const FewRows& p, std::int64_t first, std::int64_t end);

// out = x of one head, its pairs (e, e + dim / 2) rotated by the angles whose cosines and sines are given; x itself without.
struct Rotation {
  const float* cos;  // [dim / 2]; null: none
  const float* sin;
  std::int64_t dim;
};
void rotate_head(const float* x, const Rotation& by, float* out);

// For each of `group` queries that share keys and values: out = sum_s softmax(softcap(scale q k_s))_s v_s over `seen`
// positions. q and out [group, dim], k and v [seen, dim]; a soft cap c makes scores c tanh(score / c), 0 leaves them.
struct StepAttention {
  const float* q;
  const float* k;
  const float* v;
  float* out;
  std::int64_t group, seen, dim;
  double scale, softcap;
};
void step_attention(const StepAttention& a);

}  // namespace sotto::model
