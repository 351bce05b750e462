#include "model/kernels/layer_kernels.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "model/kernels/avx512.h"

namespace sotto::model {

#if defined(__x86_64__)

bool has_layer_kernels(bool bf16) { return has_avx512(bf16); }

namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wuninitialized"

constexpr std::int64_t kRanks = 8;  // columns of LoRA's products that are summed side by side

// Two rows of x with up to eight of m: 16 sums, whose totals come out in order, row by row. Behind the last row, or the last
// of m, that one is taken again.
SOTTO_AVX512 void down_block(const DownProduct& p, const float* x0, const float* x1, std::int64_t k, std::uint16_t* rounded0,
                             std::uint16_t* rounded1, float* out) {
  const float* m[kRanks];
  for (std::int64_t j = 0; j < kRanks; ++j) m[j] = p.m + std::min(k + j, p.rank - 1) * p.in;
  __m512 sums[2 * kRanks];
#pragma GCC unroll 16
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < p.in; i += kLanes) {
    const std::int64_t left = p.in - i;
    const __m512 a = load(x0 + i, left), b = load(x1 + i, left);
    if (rounded0 != nullptr) {
      store(rounded0 + i, a, left);
      store(rounded1 + i, b, left);
    }
#pragma GCC unroll 8
    for (int j = 0; j < kRanks; ++j) {
      const __m512 of_m = load(m[j] + i, left);
      // `totals` puts sums[4 o + r] into lane 4 r + o; lanes 0 to 7 are to be the first row's.
      sums[4 * (j % 4) + j / 4] = add_product(sums[4 * (j % 4) + j / 4], a, of_m);
      sums[4 * (j % 4) + j / 4 + 2] = add_product(sums[4 * (j % 4) + j / 4 + 2], b, of_m);
    }
  }
  store(out, _mm512_mul_ps(totals(sums), _mm512_set1_ps(p.scale)), kLanes);
}

// kR rows of y, 32 columns of them.
template <class Base, int kR>
SOTTO_AVX512 void up_block(const UpProduct& p, std::int64_t r, std::int64_t o) {
  const std::int64_t left[2] = {p.out - o, p.out - o - kLanes};
  const auto* base = static_cast<const Base*>(p.base) + r * p.out + o;
  const __m512 scale = _mm512_set1_ps(p.scale);
  __m512 sums[2 * kR];
#pragma GCC unroll 8
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t k = 0; k < p.rank; ++k) {
    const float* m = p.m + k * p.out + o;
    const __m512 m0 = load(m, left[0]), m1 = left[1] > 0 ? load(m + kLanes, left[1]) : _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int i = 0; i < kR; ++i) {
      const __m512 h = _mm512_set1_ps(p.h[(r + i) * p.rank + k]);
      sums[2 * i] = add_product(sums[2 * i], h, m0);
      sums[2 * i + 1] = add_product(sums[2 * i + 1], h, m1);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kR; ++i) {
    float* y = p.y + (r + i) * p.out + o;
    store(y, add_product(load(base + i * p.out, left[0]), scale, sums[2 * i]), left[0]);
    if (left[1] > 0)
      store(y + kLanes, add_product(load(base + i * p.out + kLanes, left[1]), scale, sums[2 * i + 1]), left[1]);
  }
}

template <class Base, int kR>
SOTTO_AVX512 void up_rows(const UpProduct& p, std::int64_t r) {
  for (std::int64_t o = 0; o < p.out; o += 2 * kLanes) up_block<Base, kR>(p, r, o);
}

template <class Base>
SOTTO_AVX512 void all_up_rows(const UpProduct& p, std::int64_t first, std::int64_t end) {
  std::int64_t r = first;
  for (; r + 4 <= end; r += 4) up_rows<Base, 4>(p, r);
  for (; r < end; ++r) up_rows<Base, 1>(p, r);
}

// How many rows ahead of what is summed the next ones are asked for: they lie too far apart for the processor to foresee
// them. A hint may point behind the end.
constexpr std::int64_t kRowsAhead = 8;

// 32 columns with up to eight of h. Behind the last of h, that one is taken again.
SOTTO_AVX512 void outer_block(const OuterSum& p, std::int64_t k, std::int64_t i) {
  const std::int64_t left[2] = {p.in - i, p.in - i - kLanes}, ranks = std::min(kRanks, p.rank - k);
  std::int64_t at[kRanks];
  for (std::int64_t j = 0; j < kRanks; ++j) at[j] = std::min(k + j, p.rank - 1);
  __m512 sums[2 * kRanks];
#pragma GCC unroll 16
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < p.rows; ++t) {
    const float* x = p.x + t * p.in + i;
    const float* h = p.h + t * p.rank;
    _mm_prefetch(reinterpret_cast<const char*>(x + kRowsAhead * p.in), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(x + kRowsAhead * p.in + kLanes), _MM_HINT_T0);
    const __m512 x0 = load(x, left[0]), x1 = left[1] > 0 ? load(x + kLanes, left[1]) : _mm512_setzero_ps();
#pragma GCC unroll 8
    for (int j = 0; j < kRanks; ++j) {
      const __m512 of_h = _mm512_set1_ps(h[at[j]]);
      sums[2 * j] = add_product(sums[2 * j], of_h, x0);
      sums[2 * j + 1] = add_product(sums[2 * j + 1], of_h, x1);
    }
  }
  alignas(64) float block[kRanks][2 * kLanes];
#pragma GCC unroll 8
  for (int j = 0; j < kRanks; ++j) {
    _mm512_store_ps(block[j], _mm512_mul_ps(sums[2 * j], _mm512_set1_ps(p.scale)));
    _mm512_store_ps(block[j] + kLanes, _mm512_mul_ps(sums[2 * j + 1], _mm512_set1_ps(p.scale)));
  }
  const std::int64_t columns = std::min(OuterSum::kColumns, left[0]);
  if (!p.transposed) {
    for (std::int64_t j = 0; j < ranks; ++j) std::copy_n(block[j], columns, p.out + (k + j) * p.in + i);
    return;
  }
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t j = 0; j < ranks; ++j) p.out[(i + c) * p.rank + k + j] = block[j][c];
}

SOTTO_AVX512_INLINE __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0F);
  return _mm512_div_ps(one, _mm512_add_ps(one, exponential(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

// What a row of causal scores sees: columns [begin, end).
struct Seen {
  std::int64_t begin, end;
};
Seen seen_by(const CausalRows& c, std::int64_t row) {
  const std::int64_t end = c.before + row % c.queries + 1;
  return {c.window > 0 ? std::max<std::int64_t>(0, end - c.window) : 0, end};
}

SOTTO_AVX512 float largest(const auto* x, std::int64_t count) {
  __m512 most = _mm512_set1_ps(-INFINITY);
  for (std::int64_t i = 0; i < count; i += kLanes)
    most = _mm512_mask_max_ps(most, first_lanes(count - i), most, load(x + i, count - i));
  return _mm512_reduce_max_ps(most);
}

template <class Number>
SOTTO_AVX512 void loss_row(const LossRows& p, std::int64_t row) {
  auto* const x = static_cast<Number*>(p.logits) + row * p.vocabulary;
  const std::int64_t label = p.labels[row];
  const __m512 most = _mm512_set1_ps(largest(x, p.vocabulary));
  __m512 sums = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < p.vocabulary; i += kLanes) {
    const __mmask16 lanes = first_lanes(p.vocabulary - i);
    sums = _mm512_mask_add_ps(sums, lanes, sums, exponential(_mm512_sub_ps(load(x + i, p.vocabulary - i), most)));
  }
  const float sum = total(sums), wanted = total(load(x + label, 1));
  p.losses[row] = std::log(sum) + _mm512_cvtss_f32(most) - wanted;
  const __m512 weight = _mm512_set1_ps(p.weights[row]), factor = _mm512_set1_ps(p.weights[row] / sum);
  for (std::int64_t i = 0; i < p.vocabulary; i += kLanes) {
    __m512 derivative = _mm512_mul_ps(exponential(_mm512_sub_ps(load(x + i, p.vocabulary - i), most)), factor);
    if (label - i >= 0 && label - i < kLanes) {
      const auto lane = static_cast<__mmask16>(1U << (label - i));
      derivative = _mm512_mask_sub_ps(derivative, lane, derivative, weight);
    }
    store(x + i, derivative, p.vocabulary - i);
  }
}

#pragma GCC diagnostic pop

}  // namespace

void down_product(const DownProduct& p, std::int64_t first, std::int64_t end) {
  float two_rows[2 * kRanks];
  for (std::int64_t r = first; r < end; r += 2) {
    const std::int64_t other = std::min(r + 1, end - 1);
    for (std::int64_t k = 0; k < p.rank; k += kRanks) {
      const bool rounds = p.rounded != nullptr && k == 0;
      down_block(p, p.x + r * p.in, p.x + other * p.in, k, rounds ? p.rounded + r * p.in : nullptr,
                 rounds ? p.rounded + other * p.in : nullptr, two_rows);
      const std::int64_t ranks = std::min(kRanks, p.rank - k);
      std::copy_n(two_rows, ranks, p.h + r * p.rank + k);
      std::copy_n(two_rows + kRanks, ranks, p.h + other * p.rank + k);
    }
  }
}

void up_product(const UpProduct& p, std::int64_t first, std::int64_t end) {
  p.bf16 ? all_up_rows<std::uint16_t>(p, first, end) : all_up_rows<float>(p, first, end);
}

void outer_sum(const OuterSum& p, std::int64_t first, std::int64_t end) {
  for (std::int64_t i = first; i < end; i += OuterSum::kColumns)
    for (std::int64_t k = 0; k < p.rank; k += kRanks) outer_block(p, k, i);
}

SOTTO_AVX512 void rms_norm_rows(const RmsNormRows& p, double eps, float* out, float* scale, std::int64_t first,
                                std::int64_t end) {
  for (std::int64_t r = first; r < end; ++r) {
    const float* x = p.x + r * p.columns;
    __m512 squares = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < p.columns; i += kLanes) {
      const __m512 v = load(x + i, p.columns - i);
      squares = add_product(squares, v, v);
    }
    scale[r] = 1 / std::sqrt(total(squares) / static_cast<float>(p.columns) + static_cast<float>(eps));
    const __m512 s = _mm512_set1_ps(scale[r]);
    for (std::int64_t i = 0; i < p.columns; i += kLanes) {
      const std::int64_t left = p.columns - i;
      store(out + r * p.columns + i, _mm512_mul_ps(_mm512_mul_ps(load(x + i, left), s), load(p.weight + i, left)), left);
    }
  }
}

SOTTO_AVX512 void rms_norm_gradient(const RmsNormRows& p, const float* scale, const float* g, float* gx, std::int64_t first,
                                    std::int64_t end) {
  for (std::int64_t r = first; r < end; ++r) {
    const float* x = p.x + r * p.columns;
    const float* of_g = g + r * p.columns;
    __m512 products = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < p.columns; i += kLanes) {
      const std::int64_t left = p.columns - i;
      products = add_product(products, _mm512_mul_ps(load(of_g + i, left), load(p.weight + i, left)), load(x + i, left));
    }
    const __m512 s = _mm512_set1_ps(scale[r]);
    const __m512 pull = _mm512_set1_ps(total(products) / static_cast<float>(p.columns) * scale[r] * scale[r] * scale[r]);
    for (std::int64_t i = 0; i < p.columns; i += kLanes) {
      const std::int64_t left = p.columns - i;
      const __m512 own = _mm512_mul_ps(_mm512_mul_ps(load(of_g + i, left), load(p.weight + i, left)), s);
      store(gx + r * p.columns + i, _mm512_fnmadd_ps(load(x + i, left), pull, own), left);
    }
  }
}

SOTTO_AVX512 void swiglu_numbers(const float* gate, const float* up, float* out, std::int64_t first, std::int64_t end) {
  for (std::int64_t i = first; i < end; i += kLanes) {
    const __m512 x = load(gate + i, end - i);
    store(out + i, _mm512_mul_ps(_mm512_mul_ps(x, sigmoid(x)), load(up + i, end - i)), end - i);
  }
}

// silu(x) = x s and silu'(x) = s (1 + x (1 - s)) with s = sigmoid(x).
SOTTO_AVX512 void swiglu_gradient(const SwiGluGradient& p, std::int64_t first, std::int64_t end) {
  const __m512 one = _mm512_set1_ps(1.0F);
  for (std::int64_t i = first; i < end; i += kLanes) {
    const std::int64_t left = end - i;
    const __m512 x = load(p.gate + i, left), g = load(p.g + i, left), s = sigmoid(x);
    const __m512 slope = _mm512_mul_ps(s, add_product(one, x, _mm512_sub_ps(one, s)));
    store(p.g_gate + i, _mm512_mul_ps(_mm512_mul_ps(g, load(p.up + i, left)), slope), left);
    store(p.g_up + i, _mm512_mul_ps(g, _mm512_mul_ps(x, s)), left);
  }
}

SOTTO_AVX512 void causal_softmax(const CausalRows& c, float* scores, std::int64_t first, std::int64_t end) {
  for (std::int64_t r = first; r < end; ++r) {
    const Seen seen = seen_by(c, r);
    float* const row = scores + r * c.keys;
    std::fill(row, row + seen.begin, 0.0F);
    std::fill(row + seen.end, row + c.keys, 0.0F);
    float* const x = row + seen.begin;
    const std::int64_t count = seen.end - seen.begin;
    const __m512 scale = _mm512_set1_ps(c.scale), most = _mm512_set1_ps(c.scale * largest(x, count));
    __m512 sums = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < count; i += kLanes) {
      const __m512 e = exponential(_mm512_fmsub_ps(load(x + i, count - i), scale, most));
      sums = _mm512_mask_add_ps(sums, first_lanes(count - i), sums, e);
      store(x + i, e, count - i);
    }
    const __m512 factor = _mm512_set1_ps(1 / total(sums));
    for (std::int64_t i = 0; i < count; i += kLanes) store(x + i, _mm512_mul_ps(load(x + i, count - i), factor), count - i);
  }
}

SOTTO_AVX512 void causal_softmax_gradient(const CausalRows& c, const float* p, float* g, std::int64_t first,
                                          std::int64_t end) {
  for (std::int64_t r = first; r < end; ++r) {
    const Seen seen = seen_by(c, r);
    const float* const of_p = p + r * c.keys + seen.begin;
    float* const row = g + r * c.keys;
    float* const x = row + seen.begin;
    const std::int64_t count = seen.end - seen.begin;
    __m512 products = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < count; i += kLanes)
      products = add_product(products, load(x + i, count - i), load(of_p + i, count - i));
    const __m512 sum = _mm512_set1_ps(total(products)), scale = _mm512_set1_ps(c.scale);
    for (std::int64_t i = 0; i < count; i += kLanes) {
      const __m512 weight = _mm512_mul_ps(load(of_p + i, count - i), scale);
      store(x + i, _mm512_mul_ps(weight, _mm512_sub_ps(load(x + i, count - i), sum)), count - i);
    }
    std::fill(row, row + seen.begin, 0.0F);
    std::fill(row + seen.end, row + c.keys, 0.0F);
  }
}

void losses_and_derivatives(const LossRows& p, std::int64_t first, std::int64_t end) {
  for (std::int64_t r = first; r < end; ++r) p.bf16 ? loss_row<std::uint16_t>(p, r) : loss_row<float>(p, r);
}

#else

bool has_layer_kernels(bool) { return false; }
void down_product(const DownProduct&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void up_product(const UpProduct&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void outer_sum(const OuterSum&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void rms_norm_rows(const RmsNormRows&, double, float*, float*, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void rms_norm_gradient(const RmsNormRows&, const float*, const float*, float*, std::int64_t, std::int64_t) {
  SOTTO_CHECK(false);
}
void swiglu_numbers(const float*, const float*, float*, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void swiglu_gradient(const SwiGluGradient&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void causal_softmax(const CausalRows&, float*, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void causal_softmax_gradient(const CausalRows&, const float*, float*, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void losses_and_derivatives(const LossRows&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }

#endif

}  // namespace sotto::model
