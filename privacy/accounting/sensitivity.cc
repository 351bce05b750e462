// How far apart two neighbours can be: the tail of a truncated batch, and the sensitivity of tree and matrix mechanisms.
#include <algorithm>
#include <cmath>

#include "privacy/accounting/release_rdp.h"

namespace sotto::privacy {
namespace {

constexpr double kTailError = 1e-6;  // relative; populations up to 1e9

// ln n! less Stirling's formula.
double stirling_rest(double n) {
  if (n < 16) return std::lgamma(n + 1) - ((n + 0.5) * std::log(n) - n + 0.5 * std::log(2 * M_PI));
  const double square = n * n;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - 1.0 / 1680 / square) / square) / square) / n;
}

// ln P(X = k) for X binomial, 0 < p < 1, by its saddle-point expansion (Loader 2000): no difference of large logarithms.
double log_binomial(double n, double p, double k) {
  if (k == 0) return n * std::log1p(-p);
  if (k == n) return n * std::log(p);
  const double rest = n - k;
  const double divergence = k * std::log1p((k - n * p) / (n * p)) + rest * std::log1p((n * p - k) / (n * (1 - p)));
  return stirling_rest(n) - stirling_rest(k) - stirling_rest(rest) - divergence - 0.5 * std::log(2 * M_PI * k * rest / n);
}

// P(X >= at) for X binomial, to within kTailError: the terms from `at` outwards, on the side where they fall.
double binomial_tail(std::uint64_t n, double p, std::uint64_t at) {
  if (at == 0) return 1;
  if (at > n) return 0;
  if (p == 1) return 1;
  const double size = static_cast<double>(n);
  const bool above = static_cast<double>(at) > size * p;
  double term = std::exp(log_binomial(size, p, above ? static_cast<double>(at) : static_cast<double>(at) - 1));
  double sum = 0;
  if (above) {
    for (double k = static_cast<double>(at); k <= size && term > sum * 1e-18; ++k) {
      sum += term;
      term *= (size - k) / (k + 1) * p / (1 - p);
    }
    return std::min(1.0, sum);
  }
  for (double k = static_cast<double>(at) - 1; k >= 0 && term > sum * 1e-18; --k) {
    sum += term;
    term *= k / (size - k + 1) * (1 - p) / p;
  }
  return std::clamp(1 - sum, 0.0, 1.0);
}

}  // namespace

Truncation truncation_of(const Sampling& sampling) {
  Truncation out;
  // Of the others' draws at least a whole batch: with n units in all, P(Binomial(n - 1, q) >= b).
  const double probability = binomial_tail(sampling.population - 1, sampling.rate, sampling.batch_size);
  out.probability_low = probability * (1 - kTailError);
  out.probability = std::min(1.0, probability * (1 + kTailError));
  if (probability == 0) return out;
  out.rate = sampling.rate;
  if (!sampling.population_is_bound) {
    // Drawn (q), and then kept (b of the s + 1): q E[b / (s + 1) | s >= b], where q P(s) / (s + 1) = P(Binomial(n, q) = s +
    // 1) / n.
    const double n = static_cast<double>(sampling.population);
    const double kept = binomial_tail(sampling.population, sampling.rate, sampling.batch_size + 1) *
                        static_cast<double>(sampling.batch_size) / n / probability;
    out.rate = std::min(sampling.rate, kept * (1 + 2 * kTailError));
  }
  return out;
}

double correlated_sensitivity(const TreeAggregation& tree) {
  // Kairouz et al. 2021 (arXiv 2103.00039), appendix D: a unit is in one leaf and so in at most ceil(log2(steps + 1)) nodes.
  const std::uint64_t most = *std::max_element(tree.step_counts.begin(), tree.step_counts.end());
  int depth = 0;
  while ((most >> depth) > 0) ++depth;  // = ceil(log2(most + 1))
  return std::sqrt(static_cast<double>(depth));
}

double correlated_sensitivity(const MatrixMechanism& matrix) {
  // Kalinin, Lampert 2024 (arXiv 2405.13763), theorem 2: for non-negative, non-increasing coefficients the columns that are
  // as early and as close as allowed move the product most.
  std::vector<double> sum(matrix.steps, 0.0);
  const std::uint64_t columns = (matrix.steps - 1) / matrix.min_separation + 1;
  if (matrix.participations >= columns) {  // all of them: a column more for every min_separation steps
    for (std::uint64_t i = 0; i < matrix.steps; ++i) {
      if (i < matrix.strategy.size()) sum[i] = matrix.strategy[i];
      if (i >= matrix.min_separation) sum[i] += sum[i - matrix.min_separation];
    }
  } else {
    for (std::uint64_t j = 0; j < matrix.participations; ++j) {
      const std::uint64_t column = j * matrix.min_separation;
      for (std::uint64_t i = 0; i < matrix.strategy.size() && column + i < matrix.steps; ++i)
        sum[column + i] += matrix.strategy[i];
    }
  }
  double squares = 0;
  for (const double value : sum) squares += value * value;
  return std::sqrt(squares) * (1 + kRoundoffCover);
}

}  // namespace sotto::privacy
