#include "evaluation/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "base/check.h"

namespace sotto::evaluation {
namespace {

// Uniform on {0, ..., bound - 1}. std::uniform_int_distribution is not the same on every library.
std::size_t below(std::mt19937_64& random, std::size_t bound) {
  const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() / bound * bound;
  for (;;)
    if (const std::uint64_t bits = random(); bits < limit) return bits % bound;
}

Interval percentile_interval(const std::vector<double>& values, double confidence) {
  const double tail = (1 - confidence) / 2;
  return {quantile(values, tail), quantile(values, 1 - tail)};
}

void check(const Resampling& how) { SOTTO_CHECK(how.resamples > 0 && how.confidence > 0 && how.confidence < 1); }

// value(b) - value(a) after the pairs whose bit is set were swapped.
class Swaps {
 public:
  Swaps(std::span<const Ratio> a, std::span<const Ratio> b) : a_(a), b_(b) {}
  template <class IsSwapped>
  double difference(IsSwapped is_swapped) const {
    Ratio left, right;
    for (std::size_t i = 0; i < a_.size(); ++i) {
      const bool swapped = is_swapped(i);
      left += swapped ? b_[i] : a_[i];
      right += swapped ? a_[i] : b_[i];
    }
    return right.value() - left.value();
  }

 private:
  std::span<const Ratio> a_, b_;
};

double permutation_p(const Swaps& swaps, std::size_t n, double observed, const Resampling& how) {
  // Equal up to rounding counts as equal.
  const auto as_far = [&](double d) {
    return std::abs(d) >= std::abs(observed) - 1e-12 * std::max(1.0, std::abs(observed));
  };
  std::uint64_t far = 0;
  if (n < 32 && (std::uint64_t{1} << n) <= how.resamples) {
    const std::uint64_t all = std::uint64_t{1} << n;
    for (std::uint64_t bits = 0; bits < all; ++bits)
      far += as_far(swaps.difference([&](std::size_t i) { return bits >> i & 1; }));
    return static_cast<double>(far) / static_cast<double>(all);
  }
  std::mt19937_64 random(how.seed ^ 0x9E3779B97F4A7C15ull);
  std::vector<bool> swapped(n);
  for (std::uint32_t r = 0; r < how.resamples; ++r) {
    for (std::size_t i = 0; i < n; ++i) swapped[i] = random() >> 63;
    far += as_far(swaps.difference([&](std::size_t i) { return swapped[i]; }));
  }
  return static_cast<double>(far + 1) / (static_cast<double>(how.resamples) + 1);
}

// Regularised incomplete beta function I_x(a, b) for x below its mean, by the continued fraction (DLMF 8.17.22), evaluated
// by Lentz's method.
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  const double front =
      std::exp(a * std::log(x) + b * std::log1p(-x) + std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b)) / a;
  double c = 1, d = 1 / std::max(kTiny, 1 - (a + b) * x / (a + 1)), h = d;
  for (int m = 1; m < 10000; ++m) {
    const double k = m, even = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
    const double odd = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
    for (const double coefficient : {even, odd}) {
      d = 1 + coefficient * d;
      c = 1 + coefficient / c;
      if (std::abs(d) < kTiny) d = kTiny;
      if (std::abs(c) < kTiny) c = kTiny;
      d = 1 / d;
      h *= d * c;
    }
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return front * h;
}

double incomplete_beta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  return x < (a + 1) / (a + b + 2) ? beta_fraction(x, a, b) : 1 - beta_fraction(1 - x, b, a);
}

}  // namespace

std::vector<Ratio> by_unit(std::span<const Ratio> records, std::span<const std::string> keys) {
  SOTTO_CHECK(records.size() == keys.size());
  std::vector<Ratio> units;
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto at = keys[i].empty() ? units.size() : index.try_emplace(keys[i], units.size()).first->second;
    if (at == units.size()) units.emplace_back();
    units[at] += records[i];
  }
  return units;
}

Ratio sum(std::span<const Ratio> units) {
  return std::accumulate(units.begin(), units.end(), Ratio{}, [](Ratio total, const Ratio& unit) { return total += unit; });
}

Interval bootstrap(std::span<const Ratio> units, const Resampling& how) {
  check(how);
  if (units.size() < 2) return {sum(units).value(), sum(units).value()};
  std::mt19937_64 random(how.seed);
  std::vector<double> values(how.resamples);
  for (auto& value : values) {
    Ratio total;
    for (std::size_t i = 0; i < units.size(); ++i) total += units[below(random, units.size())];
    value = total.value();
  }
  return percentile_interval(values, how.confidence);
}

Paired compare(std::span<const Ratio> a, std::span<const Ratio> b, const Resampling& how) {
  check(how);
  SOTTO_CHECK(a.size() == b.size());
  Paired out;
  out.difference = sum(b).value() - sum(a).value();
  out.interval = {out.difference, out.difference};
  if (a.size() < 2) return out;
  std::mt19937_64 random(how.seed);
  std::vector<double> values(how.resamples);
  for (auto& value : values) {
    Ratio left, right;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::size_t k = below(random, a.size());
      left += a[k];
      right += b[k];
    }
    value = right.value() - left.value();
  }
  out.interval = percentile_interval(values, how.confidence);
  out.p = permutation_p({a, b}, a.size(), out.difference, how);
  return out;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> out(p.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, p[order[rank]] * static_cast<double>(p.size() - rank)));
    out[order[rank]] = largest;
  }
  return out;
}

double quantile(std::vector<double> values, double at) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  const double place = at * static_cast<double>(values.size() - 1);
  const auto below_it = static_cast<std::size_t>(place);
  if (below_it + 1 >= values.size()) return values.back();
  return std::lerp(values[below_it], values[below_it + 1], place - static_cast<double>(below_it));
}

double normal_z(double confidence) {
  SOTTO_CHECK(confidence > 0 && confidence < 1);
  double low = 0, high = 40;  // P(|Z| <= z) = erf(z / sqrt 2), by bisection down to the last bit
  for (int i = 0; i < 200; ++i) {
    const double z = (low + high) / 2;
    (std::erf(z / std::sqrt(2.0)) < confidence ? low : high) = z;
  }
  return (low + high) / 2;
}

double student_t_probability(double t, double degrees) {
  SOTTO_CHECK(t >= 0 && degrees > 0);
  return incomplete_beta(t * t / (degrees + t * t), 0.5, degrees / 2);
}

double student_t(double confidence, double degrees) {
  SOTTO_CHECK(confidence > 0 && confidence < 1);
  double low = 0, high = 1;
  while (student_t_probability(high, degrees) < confidence) high *= 2;
  for (int i = 0; i < 200; ++i) {
    const double t = (low + high) / 2;
    (student_t_probability(t, degrees) < confidence ? low : high) = t;
  }
  return (low + high) / 2;
}

Interval wilson(double successes, double n, double confidence) {
  if (n <= 0) return {0, 1};
  const double z = normal_z(confidence), p = successes / n, spread = z * z / n;
  const double middle = (p + spread / 2) / (1 + spread);
  const double half = z * std::sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread);
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

Interval interval_of(std::span<const Ratio> units, const Resampling& how) {
  double n = 0, right = 0;
  for (const Ratio& unit : units) {
    if (unit.denominator == 0) continue;  // nothing of this metric in it
    n += 1;
    right += unit.numerator == unit.denominator ? 1 : 0;
    if (unit.numerator != 0 && unit.numerator != unit.denominator) return bootstrap(units, how);
  }
  return n > 0 && (right == 0 || right == n) ? wilson(right, n, how.confidence) : bootstrap(units, how);
}

}  // namespace sotto::evaluation
