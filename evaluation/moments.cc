// Estimates from sums and sums of products (federated.h): a ratio, its interval, and a paired difference, by linearisation.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "evaluation/federated.h"

namespace sotto::evaluation {
namespace {

// Derivative of numerator over denominator of one model with respect to the sums, at the pooled sums.
std::vector<double> gradient(std::span<const Moments> strata, std::size_t model) {
  std::vector<double> out(strata.front().sums.size());
  Ratio total;
  for (const auto& m : strata) total += {m.sums[2 * model], m.sums[2 * model + 1]};
  if (total.denominator == 0) return out;
  out[2 * model] = 1 / total.denominator;
  out[2 * model + 1] = -total.value() / total.denominator;
  return out;
}

double value_of(std::span<const Moments> strata, std::size_t model) {
  Ratio total;
  for (const auto& m : strata) total += {m.sums[2 * model], m.sums[2 * model + 1]};
  return total.value();
}

// Variance of the linear statistic sum_i g x_i over strata that are sampled by themselves.
double variance(std::span<const Moments> strata, const std::vector<double>& g) {
  double out = 0;
  for (const auto& m : strata) {
    SOTTO_CHECK(m.units >= 2);
    double sum = 0, square = 0, scale = 0;
    for (std::size_t i = 0; i < g.size(); ++i) {
      sum += g[i] * m.sums[i];
      scale += g[i] * g[i] * m.product(i, i);
      for (std::size_t j = 0; j < g.size(); ++j) square += g[i] * g[j] * m.product(i, j);
    }
    const double n = static_cast<double>(m.units), spread = square - sum * sum / n;
    if (spread > 1e-13 * scale) out += n / (n - 1) * spread;  // below: equal units, but for rounding
  }
  return out;
}

double degrees_of_freedom(std::span<const Moments> strata) {
  return std::accumulate(strata.begin(), strata.end(), 0.0,
                         [](double sum, const Moments& m) { return sum + static_cast<double>(m.units) - 1; });
}

// Every unit counts one and is right or wrong: x in {0, 1}, y = 1. Then x (1 - x) and (y - 1)^2 have the sum 0.
bool counts_successes(const Moments& m, std::size_t model) {
  const double n = static_cast<double>(m.units);
  const std::size_t x = 2 * model, y = x + 1;
  return m.product(x, x) == m.sums[x] && m.sums[y] == n && m.product(y, y) == n && m.sums[x] >= 0 && m.sums[x] <= n &&
         std::floor(m.sums[x]) == m.sums[x];
}

}  // namespace

double Moments::product(std::size_t i, std::size_t j) const {
  const std::size_t a = std::min(i, j), b = std::max(i, j), n = sums.size();
  return products[a * n - a * (a + 1) / 2 + b];
}

Moments moments_of(std::span<const std::vector<Ratio>> units) {
  const std::size_t n = 2 * units.size();
  Moments out{units.front().size(), std::vector<double>(n), std::vector<double>(n * (n + 1) / 2)};
  std::vector<double> x(n);
  for (std::size_t u = 0; u < out.units; ++u) {
    for (std::size_t m = 0; m < units.size(); ++m) {
      SOTTO_CHECK(units[m].size() == out.units);
      x[2 * m] = units[m][u].numerator;
      x[2 * m + 1] = units[m][u].denominator;
    }
    for (std::size_t i = 0, at = 0; i < n; ++i) {
      out.sums[i] += x[i];
      for (std::size_t j = i; j < n; ++j) out.products[at++] += x[i] * x[j];
    }
  }
  return out;
}

Estimate estimate(std::span<const Moments> strata, std::size_t model, double confidence) {
  const double value = value_of(strata, model);
  if (std::ranges::all_of(strata, [&](const Moments& m) { return counts_successes(m, model); })) {
    double right = 0, of = 0;
    for (const auto& m : strata) {
      right += m.sums[2 * model];
      of += static_cast<double>(m.units);
    }
    return {value, wilson(right, of, confidence)};
  }
  const double half =
      student_t(confidence, degrees_of_freedom(strata)) * std::sqrt(variance(strata, gradient(strata, model)));
  return {value, {value - half, value + half}};
}

Paired paired_difference(std::span<const Moments> strata, std::size_t from, std::size_t to, double confidence) {
  auto g = gradient(strata, to);
  const auto minus = gradient(strata, from);
  for (std::size_t i = 0; i < g.size(); ++i) g[i] -= minus[i];
  const double df = degrees_of_freedom(strata), deviation = std::sqrt(variance(strata, g));
  Paired out;
  out.difference = value_of(strata, to) - value_of(strata, from);
  const double half = student_t(confidence, df) * deviation;
  out.interval = {out.difference - half, out.difference + half};
  if (out.difference == 0) return out;
  const double units = df + static_cast<double>(strata.size());
  const double p = deviation > 0 ? 1 - student_t_probability(std::abs(out.difference) / deviation, df) : 0;
  out.p = std::min(1.0, std::max(p, std::exp2(1 - units)));
  return out;
}

}  // namespace sotto::evaluation
