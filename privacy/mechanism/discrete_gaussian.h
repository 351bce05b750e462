// An exact sampler for the discrete Gaussian N_Z(0, s^2), P(x) proportional to exp(-x^2 / (2 s^2)), for whole s: rejection
// from a staircase. The magnitudes 0, 1, 2, ... are cut into buckets of w = 2^b; a bucket is drawn with an integer weight at
// or above the mass that its first magnitude would give it (Walker's alias method, all in integers), a magnitude m in it
// uniformly, and kept with probability exp(-m^2 / (2 s^2)) over the staircase. Almost always a stored lower bound decides,
// else floating point with a bound on its error, else exact arithmetic (exp_comparison.h): no shortcut reaches the
// distribution. Proof: docs/privacy.md, "The sampler". It reads its randomness in blocks, so some of it is discarded at the
// end. Its running time depends on what it draws. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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
  void add_to(std::span<std::int64_t> values);  // a fresh draw to each

 private:
  struct Bucket {
    std::uint64_t keep = 0;    // of 2^53 - 1: below it the alias method stays in this column
    std::uint64_t sure = 0;    // of 2^(64 - b): a draw below it is kept whatever the magnitude
    std::uint64_t weight = 0;  // staircase, in units of 1 / scale
    std::uint32_t alias = 0;
  };
  std::uint64_t word();
  void make_table();
  // Keeps magnitude m of a bucket of this weight; `drawn` are the first `bits` bits of a uniform number in [0, 1), `shift`
  // halvings of the weight (buckets behind the table).
  bool keeps(std::uint64_t m, std::uint64_t weight, std::uint64_t drawn, unsigned shift);

  std::uint64_t s_;
  unsigned bits_ = 0;            // b
  std::uint64_t scale_ = 0;      // a bucket that starts at m weighs at least scale * exp(-m^2 / (2 s^2))
  std::vector<Bucket> buckets_;  // the last stands for all behind it
  RandomSource& random_;
  std::vector<std::uint64_t> block_;
  std::size_t used_ = 0;
};

}  // namespace sotto::privacy
