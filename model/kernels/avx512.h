// Registers of 16 fp32 numbers: what the kernels of this folder are written in. Internal to model/; x86-64 alone. Everything
// here is inlined into functions that have asked for the instructions by SOTTO_AVX512; those ask the CPU first (has_avx512).
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

// The intrinsics' headers, and what stands for a conversion between register types, cast in old style; their undefined
// registers look uninitialized.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wuninitialized"

#define SOTTO_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define SOTTO_AVX512_INLINE [[gnu::always_inline]] inline SOTTO_AVX512

namespace sotto::model {

inline bool has_avx512(bool bf16) {
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512vl") != 0;
  return avx512 && (!bf16 || __builtin_cpu_supports("avx512bf16") != 0);
}

inline constexpr std::int64_t kLanes = 16;

// A mask of the first `count` of 16 lanes, or of all.
SOTTO_AVX512_INLINE __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count >= kLanes ? 0xFFFFU : (1U << count) - 1U);
}

// Numbers in memory, fp32 or bf16: of the first `count` lanes, zeros behind them.
SOTTO_AVX512_INLINE __m512 load(const float* p, std::int64_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), p); }
SOTTO_AVX512_INLINE __m512 load(const std::uint16_t* p, std::int64_t count) {
  const __mmask16 lanes = first_lanes(count);
  return (__m512)_mm512_maskz_slli_epi32(lanes, _mm512_maskz_cvtepu16_epi32(lanes, _mm256_maskz_loadu_epi16(lanes, p)), 16);
}
SOTTO_AVX512_INLINE void store(float* p, __m512 x, std::int64_t count) { _mm512_mask_storeu_ps(p, first_lanes(count), x); }
SOTTO_AVX512_INLINE void store(std::uint16_t* p, __m512 x, std::int64_t count) {
  _mm256_mask_storeu_epi16(p, first_lanes(count), (__m256i)_mm512_cvtneps_pbh(x));  // to nearest, ties to even
}

// sum + a b
SOTTO_AVX512_INLINE __m512 add_product(__m512 sum, __m512 a, __m512 b) { return _mm512_fmadd_ps(a, b, sum); }

// The lanes of a sum are always added in one order: i + (i + 8), then + 4, + 2, + 1.
SOTTO_AVX512_INLINE float total(__m512 sums) {
  alignas(64) float lanes[kLanes];
  _mm512_store_ps(lanes, sums);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// The totals of 16 sums at once: that of sums[4 o + r] in lane 4 r + o. Each step adds the halves of two registers into one.
SOTTO_AVX512_INLINE __m512 totals(const __m512* sums) {
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

// e^x = 2^n e^r, |r| <= ln(2) / 2: Taylor's terms up to r^7, which leave out less than 6e-9 of it. 0 below 2^-149.
SOTTO_AVX512_INLINE __m512 exponential(__m512 x) {
  const __m512 clamped = _mm512_max_ps(_mm512_set1_ps(-200.0F), x);  // a NaN stays one
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(clamped, _mm512_set1_ps(1.44269504F)), _MM_FROUND_TO_NEAREST_INT);
  // ln(2) in two parts, of which the first has few enough bits for n times it to be exact.
  const __m512 r =
      _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), clamped));
  constexpr float kTerms[] = {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 1.0F / 2, 1.0F, 1.0F};
  __m512 sum = _mm512_set1_ps(1.0F / 5040);
#pragma GCC unroll 7
  for (const float term : kTerms) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term));
  return _mm512_scalef_ps(sum, n);
}

}  // namespace sotto::model

#pragma GCC diagnostic pop

#endif
