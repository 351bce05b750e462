#include "model/kernels/step_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "model/kernels/avx512.h"

namespace sotto::model {

#if defined(__x86_64__)

bool has_step_kernels(bool bf16) { return has_avx512(bf16); }

namespace {

// As in avx512.h.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wuninitialized"

// How a register of numbers is read, and multiplied into 16 sums.
struct Fp32 {
  using Number = float;
  static constexpr std::int64_t kNumbers = 16;
  SOTTO_AVX512 static __m512 load(const float* p) { return _mm512_loadu_ps(p); }
  SOTTO_AVX512 static __m512 load_some(const float* p, std::int64_t count) { return sotto::model::load(p, count); }
  SOTTO_AVX512 static __m512 add_product(__m512 sum, __m512 a, __m512 b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bf16 {
  using Number = std::uint16_t;
  static constexpr std::int64_t kNumbers = 32;
  SOTTO_AVX512 static __m512bh load(const std::uint16_t* p) { return (__m512bh)_mm512_loadu_epi16(p); }
  SOTTO_AVX512 static __m512bh load_some(const std::uint16_t* p, std::int64_t count) {
    return (__m512bh)_mm512_maskz_loadu_epi16((1U << count) - 1U, p);
  }
  SOTTO_AVX512 static __m512 add_product(__m512 sum, __m512bh a, __m512bh b) { return _mm512_dpbf16_ps(sum, a, b); }
};

// x as a matrix of T's numbers.
template <class T>
struct Rows {
  const typename T::Number* x;
  const typename T::Number* w;
  const FewRows& p;
};

// How far ahead of what is multiplied the matrix is asked for. Reading it is what a step waits for, and the processor by
// itself asks too late; a hint may point behind the end.
constexpr int kBytesAhead = 8192;

// kR rows of x times kO rows of w: kR * kO sums run side by side, each over the same numbers in the same order whatever kR
// and kO are.
template <class T, int kR, int kO>
SOTTO_AVX512 void block(const Rows<T>& rows, std::int64_t r, std::int64_t o) {
  const FewRows& p = rows.p;
  const auto* x = rows.x + r * p.in;
  const auto* w = rows.w + o * p.in;
  __m512 sums[kR * kO];
#pragma GCC unroll 16
  for (int s = 0; s < kR * kO; ++s) sums[s] = _mm512_setzero_ps();
  const std::int64_t whole = p.in / T::kNumbers * T::kNumbers;
  for (std::int64_t i = 0; i < whole; i += T::kNumbers) {
#pragma GCC unroll 4
    for (int k = 0; k < kO; ++k) _mm_prefetch(reinterpret_cast<const char*>(w + k * p.in + i) + kBytesAhead, _MM_HINT_T0);
#pragma GCC unroll 16
    for (int s = 0; s < kR * kO; ++s)
      sums[s] = T::add_product(sums[s], T::load(x + s % kR * p.in + i), T::load(w + s / kR * p.in + i));
  }
  if (whole < p.in) {
#pragma GCC unroll 16
    for (int s = 0; s < kR * kO; ++s)
      sums[s] = T::add_product(sums[s], T::load_some(x + s % kR * p.in + whole, p.in - whole),
                               T::load_some(w + s / kR * p.in + whole, p.in - whole));
  }
  if constexpr (kR == 4 && kO == 4) {
    const __m512 done = totals(sums);
    _mm_storeu_ps(p.y + r * p.out + o, _mm512_castps512_ps128(done));
    _mm_storeu_ps(p.y + (r + 1) * p.out + o, _mm512_maskz_extractf32x4_ps(0xF, done, 1));
    _mm_storeu_ps(p.y + (r + 2) * p.out + o, _mm512_maskz_extractf32x4_ps(0xF, done, 2));
    _mm_storeu_ps(p.y + (r + 3) * p.out + o, _mm512_maskz_extractf32x4_ps(0xF, done, 3));
  } else {
#pragma GCC unroll 16
    for (int s = 0; s < kR * kO; ++s) p.y[(r + s % kR) * p.out + o + s / kR] = total(sums[s]);
  }
}

template <class T, int kO>
void all_rows(const Rows<T>& rows, std::int64_t o) {
  std::int64_t r = 0;
  if constexpr (kO == 4)
    for (; r + 4 <= rows.p.rows; r += 4) block<T, 4, kO>(rows, r, o);
  for (; r < rows.p.rows; ++r) block<T, 1, kO>(rows, r, o);
}

// With very few rows of x the matrix is read straight on, a row at a time.
template <class T>
void all_outputs(const Rows<T>& rows, std::int64_t first, std::int64_t end) {
  std::int64_t o = first;
  if (rows.p.rows >= 4)
    for (; o + 4 <= end; o += 4) all_rows<T, 4>(rows, o);
  for (; o < end; ++o) all_rows<T, 1>(rows, o);
}

SOTTO_AVX512 void to_bf16(const float* x, std::uint16_t* out, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) store(out + i, load(x + i, count - i), count - i);
}

SOTTO_AVX512 float dot(const float* a, const float* b, std::int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < count; i += kLanes) sum = add_product(sum, load(a + i, count - i), load(b + i, count - i));
  return total(sum);
}

// y += factor x
SOTTO_AVX512 void add_scaled(float* y, const float* x, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes)
    store(y + i, add_product(load(y + i, count - i), load(x + i, count - i), _mm512_set1_ps(factor)), count - i);
}

#pragma GCC diagnostic pop

}  // namespace

void few_rows_product(const FewRows& p, std::int64_t first, std::int64_t end) {
  if (!p.bf16) return all_outputs<Fp32>({p.x, static_cast<const float*>(p.w), p}, first, end);
  std::vector<std::uint16_t> x(static_cast<std::size_t>(p.rows * p.in));
  to_bf16(p.x, x.data(), p.rows * p.in);
  all_outputs<Bf16>({x.data(), static_cast<const std::uint16_t*>(p.w), p}, first, end);
}

void step_attention(const StepAttention& a) {
  std::vector<float> scores(static_cast<std::size_t>(a.seen));
  for (std::int64_t g = 0; g < a.group; ++g) {
    const float* q = a.q + g * a.dim;
    float* out = a.out + g * a.dim;
    for (std::int64_t s = 0; s < a.seen; ++s) {
      const double score = a.scale * static_cast<double>(dot(q, a.k + s * a.dim, a.dim));
      scores[static_cast<std::size_t>(s)] =
          static_cast<float>(a.softcap == 0 ? score : a.softcap * std::tanh(score / a.softcap));
    }
    const float largest = *std::ranges::max_element(scores);
    float sum = 0;
    for (float& score : scores) sum += score = std::exp(score - largest);
    std::fill_n(out, a.dim, 0.0F);
    for (std::int64_t s = 0; s < a.seen; ++s)
      add_scaled(out, a.v + s * a.dim, scores[static_cast<std::size_t>(s)] / sum, a.dim);
  }
}

SOTTO_AVX512 void rotate_head(const float* x, const Rotation& by, float* out) {
  if (by.cos == nullptr) {
    std::copy_n(x, by.dim, out);
    return;
  }
  const std::int64_t half = by.dim / 2;
  for (std::int64_t e = 0; e < half; ++e) {
    out[e] = x[e] * by.cos[e] - x[half + e] * by.sin[e];
    out[half + e] = x[half + e] * by.cos[e] + x[e] * by.sin[e];
  }
}

#else

bool has_step_kernels(bool) { return false; }
void few_rows_product(const FewRows&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void step_attention(const StepAttention&) { SOTTO_CHECK(false); }
void rotate_head(const float*, const Rotation&, float*) { SOTTO_CHECK(false); }

#endif

}  // namespace sotto::model
