// An exact sampler for the discrete Gaussian N_Z(0, s^2), P(x) proportional to exp(-x^2 / (2 s^2)), for whole s.
// Canonne, Kamath, Steinke 2020, arXiv 2004.00010v4, algorithms 1 to 3, with t = s. Integers only; nothing is approximated.
// It reads its randomness in blocks, so some of it is discarded at the end. Its running time depends on what it draws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/random.h"

namespace sotto::privacy {

class DiscreteGaussian {
 public:
  static constexpr std::uint64_t kLargestStddev = std::uint64_t{1} << 46;
  DiscreteGaussian(std::uint64_t s, RandomSource& random);  // 1 <= s <= kLargestStddev
  ~DiscreteGaussian();
  DiscreteGaussian(const DiscreteGaussian&) = delete;
  DiscreteGaussian& operator=(const DiscreteGaussian&) = delete;

  std::int64_t sample();

 private:
  // Fresh random bits, as many as T has.
  template <class T>
  T bits();
  std::uint64_t below(std::uint64_t bound);
  // True with probability n / d, exactly. n <= d, d < 2^(bits of Int - 16).
  template <class Int>
  bool bernoulli(Int n, Int d);
  // True with probability exp(-n / d), exactly. n <= d, d < 2^(bits of Int - 31).
  template <class Int>
  bool bernoulli_exp(Int n, Int d);
  std::int64_t discrete_laplace();

  std::uint64_t s_;
  RandomSource& random_;
  std::array<std::uint8_t, 8192> block_{};
  std::size_t used_ = block_.size();
};

}  // namespace sotto::privacy
