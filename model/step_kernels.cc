#include "model/step_kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/check.h"

namespace sotto::model {

#if defined(__x86_64__)

#define SOTTO_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

bool has_step_kernels(bool bf16) {
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512vl") != 0;
  return avx512 && (!bf16 || __builtin_cpu_supports("avx512bf16") != 0);
}

namespace {

// The intrinsics' headers, and what stands for a conversion between register types, cast in old style; their undefined registers
// look uninitialized.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wuninitialized"

// A mask of the first `count` of 16 lanes, or of all.
__mmask16 first(std::int64_t count) { return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1U); }

// How a register of numbers is read, and multiplied into 16 sums.
struct Fp32 {
  using Number = float;
  static constexpr std::int64_t kLanes = 16;
  SOTTO_AVX512 static __m512 load(const float* p) { return _mm512_loadu_ps(p); }
  SOTTO_AVX512 static __m512 load_some(const float* p, std::int64_t count) { return _mm512_maskz_loadu_ps(first(count), p); }
  SOTTO_AVX512 static __m512 add_product(__m512 sum, __m512 a, __m512 b) { return _mm512_fmadd_ps(a, b, sum); }
};

struct Bf16 {
  using Number = std::uint16_t;
  static constexpr std::int64_t kLanes = 32;
  SOTTO_AVX512 static __m512bh load(const std::uint16_t* p) { return (__m512bh)_mm512_loadu_epi16(p); }
  SOTTO_AVX512 static __m512bh load_some(const std::uint16_t* p, std::int64_t count) {
    return (__m512bh)_mm512_maskz_loadu_epi16((1U << count) - 1U, p);
  }
  SOTTO_AVX512 static __m512 add_product(__m512 sum, __m512bh a, __m512bh b) { return _mm512_dpbf16_ps(sum, a, b); }
};

// The lanes of a sum are always added in one order: i + (i + 8), then + 4, + 2, + 1.
SOTTO_AVX512 float total(__m512 sums) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, sums);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// The totals of 16 sums at once: that of sums[4 o + r] in lane 4 r + o. Each step adds the halves of two registers into one.
SOTTO_AVX512 __m512 totals(const __m512* sums) {
  __m512 eighths[8], quarters[4], halves[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512 a = sums[2 * i], b = sums[2 * i + 1];
    eighths[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 a = eighths[2 * i], b = eighths[2 * i + 1];
    quarters[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512 a = quarters[2 * i], b = quarters[2 * i + 1];
    halves[i] = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE));
  }
  return _mm512_add_ps(_mm512_shuffle_ps(halves[0], halves[1], 0x88), _mm512_shuffle_ps(halves[0], halves[1], 0xDD));
}

// x as a matrix of T's numbers.
template <class T>
struct Rows {
  const typename T::Number* x;
  const typename T::Number* w;
  const FewRows& p;
};

// How far ahead of what is multiplied the matrix is asked for. Reading it is what a step waits for, and the processor by itself
// asks too late; a hint may point behind the end.
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
  const std::int64_t whole = p.in / T::kLanes * T::kLanes;
  for (std::int64_t i = 0; i < whole; i += T::kLanes) {
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
  for (std::int64_t i = 0; i < count; i += Fp32::kLanes) {
    const std::int64_t left = count - i;
    _mm256_mask_storeu_epi16(out + i, first(left), (__m256i)_mm512_cvtneps_pbh(Fp32::load_some(x + i, left)));
  }
}

SOTTO_AVX512 float dot(const float* a, const float* b, std::int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < count; i += Fp32::kLanes)
    sum = Fp32::add_product(sum, Fp32::load_some(a + i, count - i), Fp32::load_some(b + i, count - i));
  return total(sum);
}

// y += factor x
SOTTO_AVX512 void add_scaled(float* y, const float* x, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Fp32::kLanes) {
    const std::int64_t left = count - i;
    const __m512 sum = Fp32::add_product(Fp32::load_some(y + i, left), Fp32::load_some(x + i, left), _mm512_set1_ps(factor));
    _mm512_mask_storeu_ps(y + i, first(left), sum);
  }
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

SOTTO_AVX512 void row_rms_norm(const RowNorm& n) {
  const float scale = 1 / std::sqrt(dot(n.x, n.x, n.count) / static_cast<float>(n.count) + static_cast<float>(n.eps));
  for (std::int64_t i = 0; i < n.count; ++i) n.out[i] = n.x[i] * scale * n.weight[i];
}

#else

bool has_step_kernels(bool) { return false; }
void few_rows_product(const FewRows&, std::int64_t, std::int64_t) { SOTTO_CHECK(false); }
void step_attention(const StepAttention&) { SOTTO_CHECK(false); }
void rotate_head(const float*, const Rotation&, float*) { SOTTO_CHECK(false); }
void row_rms_norm(const RowNorm&) { SOTTO_CHECK(false); }

#endif

}  // namespace sotto::model
