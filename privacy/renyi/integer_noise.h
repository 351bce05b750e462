// Symmetric noise on the integers, by its exact probabilities: what one coordinate of a discrete mechanism adds.
// Values; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace sotto::privacy {

class IntegerNoise {
 public:
  // P(x) proportional to exp(-x^2 / (2 stddev^2)): Canonne, Kamath, Steinke 2020, definition 1. stddev in [0.05, 1e5].
  static Result<IntegerNoise> discrete_gaussian(double stddev);
  // P(x) proportional to exp(-parameter |x|). parameter in [1e-4, 50].
  static Result<IntegerNoise> discrete_laplace(double parameter);
  // The difference of two Poisson variables of variance / 2 each: Agarwal, Kairouz, Liu 2021 (arXiv 2110.04995).
  // variance in [0.01, 1e9].
  static Result<IntegerNoise> skellam(double variance);

  // ln P(x), to within 1e-13 relative of P(x); -inf beyond last().
  double log_probability(std::int64_t x) const;
  std::int64_t last() const { return last_; }    // probabilities are known up to here on both sides
  std::int64_t range() const { return range_; }  // less than 1e-300 of the mass lies beyond

 private:
  enum class Shape : std::uint8_t { kGaussian, kLaplace, kTable };
  Shape shape_ = Shape::kGaussian;
  double scale_ = 0;  // 1 / (2 stddev^2), or the parameter
  double log_norm_ = 0;
  std::int64_t range_ = 0;
  std::int64_t last_ = 0;
  std::vector<double> table_;  // ln P(|x|)
};

}  // namespace sotto::privacy
