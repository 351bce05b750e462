#include "privacy/renyi/integer_noise.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace sotto::privacy {
namespace {

constexpr double kLogTail = 700;                        // -ln of the mass left out
constexpr std::int64_t kNoEnd = std::int64_t{1} << 40;  // no range that is searched for comes near it

Result<void> in_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return invalid(std::string(name) + " is " + std::to_string(value) + "; give a number from " + std::to_string(low) +
                 " to " + std::to_string(high));
}

}  // namespace

Result<IntegerNoise> IntegerNoise::discrete_gaussian(double stddev) {
  SOTTO_TRY_VOID(in_range("stddev", stddev, 0.05, 1e5));
  IntegerNoise out;
  out.shape_ = Shape::kGaussian;
  out.scale_ = 1 / (2 * stddev * stddev);
  out.range_ = static_cast<std::int64_t>(std::ceil(stddev * std::sqrt(2 * kLogTail)));
  out.last_ = kNoEnd;
  double norm = 0;  // from the small terms to the large ones
  for (std::int64_t x = out.range_; x > 0; --x)
    norm += 2 * std::exp(-out.scale_ * static_cast<double>(x) * static_cast<double>(x));
  out.log_norm_ = std::log1p(norm);
  return out;
}

Result<IntegerNoise> IntegerNoise::discrete_laplace(double parameter) {
  SOTTO_TRY_VOID(in_range("parameter", parameter, 1e-4, 50));
  IntegerNoise out;
  out.shape_ = Shape::kLaplace;
  out.scale_ = parameter;
  out.range_ = static_cast<std::int64_t>(std::ceil(kLogTail / parameter));
  out.last_ = kNoEnd;
  out.log_norm_ = -std::log(std::tanh(parameter / 2));  // sum of exp(-a |x|) = 1 / tanh(a / 2)
  return out;
}

Result<IntegerNoise> IntegerNoise::skellam(double variance) {
  SOTTO_TRY_VOID(in_range("variance", variance, 0.01, 1e9));
  IntegerNoise out;
  out.shape_ = Shape::kTable;
  // ln P(x) < -x asinh(x / variance) + sqrt(x^2 + variance^2) - variance: the first x where that is below the tail. The
  // table goes on to four times that, for Renyi divergences of higher orders.
  double last = 1;
  while (last * std::asinh(last / variance) - std::hypot(last, variance) + variance < kLogTail) last *= 1.05;
  out.range_ = static_cast<std::int64_t>(std::ceil(last));
  out.last_ = 4 * out.range_;
  // P(x) = exp(-variance) I_x(variance). Ratios of Bessel functions downwards, where the recurrence is stable (Miller), then
  // all of them from their sum, which is exp(variance).
  const auto n = static_cast<std::size_t>(out.last_) + 1;
  std::vector<double> log_ratio(n);  // ln(I_{x+1} / I_x)
  double ratio = 0;
  for (std::size_t x = n + 64; x-- > 0;) {
    ratio = 1 / (2 * static_cast<double>(x + 1) / variance + ratio);
    if (x < n) log_ratio[x] = std::log(ratio);
  }
  out.table_.resize(n);
  long double at = 0;  // ln(I_x / I_0); long sums of small logarithms
  long double sum = 1;
  for (std::size_t x = 1; x < n; ++x) {
    at += log_ratio[x - 1];
    out.table_[x] = static_cast<double>(at);
    sum += 2 * std::exp(at);
  }
  out.log_norm_ = static_cast<double>(std::log(sum));
  return out;
}

double IntegerNoise::log_probability(std::int64_t x) const {
  const std::int64_t distance = std::abs(x);
  if (distance > last_) return -std::numeric_limits<double>::infinity();
  const double d = static_cast<double>(distance);
  switch (shape_) {
    case Shape::kGaussian: return -scale_ * d * d - log_norm_;
    case Shape::kLaplace: return -scale_ * d - log_norm_;
    case Shape::kTable: break;
  }
  return table_[static_cast<std::size_t>(distance)] - log_norm_;
}

}  // namespace sotto::privacy
