#include "privacy/mechanism/correlation.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/check.h"
#include "privacy/mechanism/discrete_gaussian.h"

namespace sotto::privacy {
namespace {

constexpr int kFraction = 32;      // binary digits of a coefficient
constexpr int kGuard = 12;         // binary digits that an exponential's sum has beyond the grid
constexpr double kUnit = 0x1p-32;  // coefficients are multiples of it, alike for noise and accountant (privacy.md, 4.4)
using Wide = __int128;

// value * factor / 2^digits, to the nearest.
std::int64_t scaled(Wide product, int digits) {
  return static_cast<std::int64_t>((product + (Wide{1} << (digits - 1))) >> digits);
}

std::int64_t fixed(double value) { return static_cast<std::int64_t>(std::floor(value / kUnit)); }

// c_1, c_2, .. of a band.
std::vector<std::int64_t> band_weights(std::uint64_t bands) {
  std::vector<std::int64_t> weights;
  double c = 1;
  for (std::uint64_t j = 1; j < bands; ++j) {
    c *= (2 * static_cast<double>(j) - 1) / (2 * static_cast<double>(j));
    weights.push_back(fixed(c));
  }
  return weights;
}

// c_j = sum_i weight_i decay_i^(j-1) for j >= 1.
struct Exponentials {
  std::vector<std::int64_t> weights, decays;
};

Exponentials exponentials(const Correlation& of) {
  const double high = 2.5, low = -0.5 * std::log(static_cast<double>(of.steps)) - 3.5;
  const double step = of.bands > 1 ? (high - low) / static_cast<double>(of.bands - 1) : high - low;
  Exponentials out;
  for (std::uint64_t i = 0; i < of.bands; ++i) {
    const double v = of.bands > 1 ? low + step * static_cast<double>(i) : (low + high) / 2;
    const double decay = 1 / (1 + std::exp(2 * v));
    const double weight = 2 * step / std::numbers::pi * std::exp(v) * decay * decay;
    out.decays.push_back(fixed(decay));
    out.weights.push_back(fixed(weight));
  }
  // A coarse rule may begin above c_0.
  double first = 0;
  for (const auto weight : out.weights) first += static_cast<double>(weight) * kUnit;
  if (first > 1)
    for (auto& weight : out.weights) weight = fixed(static_cast<double>(weight) * kUnit / first);
  return out;
}

}  // namespace

Result<Correlation> checked(const Correlation& c) {
  const std::uint64_t most = c.kind == CorrelationKind::kBlt ? kMostBuffers : kMostBands;
  if (c.kind == CorrelationKind::kNone ? c.bands != 0 : c.bands == 0 || c.bands > most)
    return invalid(
        "correlated noise: bands is " + std::to_string(c.bands) + ", must be " +
        (c.kind == CorrelationKind::kNone ? "left out of independent noise" : "from 1 to " + std::to_string(most)));
  const std::uint64_t longest = c.kind == CorrelationKind::kBlt ? kMostBltSteps : kMostCorrelatedSteps;
  if (c.steps == 0 || c.steps > longest)
    return invalid("correlated noise: a run of " + std::to_string(c.steps) + " steps; it must have from 1 to " +
                   std::to_string(longest));
  return c;
}

std::vector<double> coefficients(const Correlation& c) {
  std::vector<double> out = {1.0};
  if (c.kind == CorrelationKind::kBanded) {
    for (const auto weight : band_weights(std::min(c.bands, c.steps))) out.push_back(static_cast<double>(weight) * kUnit);
  } else if (c.kind == CorrelationKind::kBlt) {
    const auto terms = exponentials(c);
    std::vector<double> now;
    for (const auto weight : terms.weights) now.push_back(static_cast<double>(weight) * kUnit);
    for (std::uint64_t j = 1; j < c.steps; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < now.size(); ++i) {
        sum += now[i];
        now[i] *= static_cast<double>(terms.decays[i]) * kUnit;
      }
      out.push_back(sum);
    }
  }
  return out;
}

std::uint64_t rounding_distance(const Correlation& c, std::uint64_t dimension) {
  if (c.kind == CorrelationKind::kNone) return 0;
  const auto n = static_cast<double>(c.steps);
  const double each = 1 + (c.kind == CorrelationKind::kBlt ? std::ldexp(n, -kGuard) : 0);  // of one coordinate of one step
  return static_cast<std::uint64_t>(std::ceil(each * std::sqrt(n * static_cast<double>(dimension)) * (1 + 1e-9)));
}

Grid correlated_grid(ClipNorm clip, std::size_t dimension) {
  constexpr std::size_t kLarge = 10'000'000;  // where a finer one has no room
  return Grid(clip, dimension, dimension < kLarge ? 1e-4 : Grid::kLocalExcess);
}

DpEvent planned_event(const DpEvent& sampling, const Correlation& correlation, NoiseMultiplier sigma, const Grid& grid) {
  DpEvent event = planned_event(sampling, sigma, grid, 1);
  if (correlation.kind == CorrelationKind::kNone) return event;
  event.noise = correlation.kind == CorrelationKind::kBanded ? NoiseKind::kBanded : NoiseKind::kBlt;
  event.bands = correlation.bands;
  event.sensitivity = grid.sensitivity() + rounding_distance(correlation, grid.dimension());
  event.noise_stddev = noise_stddev(sigma, event.sensitivity);
  return event;
}

CorrelatedNoise::CorrelatedNoise(const Correlation& correlation, std::size_t dimension)
    : correlation_(correlation), dimension_(dimension) {
  SOTTO_CHECK(checked(correlation).ok());
  if (correlation.kind == CorrelationKind::kBanded) weights_ = band_weights(std::min(correlation.bands, correlation.steps));
  if (correlation.kind == CorrelationKind::kBlt) {
    auto terms = exponentials(correlation);
    weights_ = std::move(terms.weights);
    decays_ = std::move(terms.decays);
    sums_.assign(weights_.size(), std::vector<std::int64_t>(dimension));
    released_.assign(weights_.size(), std::vector<double>(dimension));
  }
}

std::int64_t CorrelatedNoise::secret_lag(std::size_t coordinate) const {
  Wide sum = 0;
  for (std::size_t i = 0; i < sums_.size(); ++i) sum += Wide{weights_[i]} * sums_[i][coordinate];
  return scaled(sum, kFraction + (decays_.empty() ? 0 : kGuard));
}

double CorrelatedNoise::released_lag(std::size_t coordinate) const {
  double sum = 0;
  for (std::size_t i = 0; i < released_.size(); ++i)
    sum += static_cast<double>(weights_[i]) * kUnit * released_[i][coordinate];
  return sum;
}

void CorrelatedNoise::keep(const std::vector<std::int64_t>& sums, const std::vector<double>& released) {
  if (correlation_.kind == CorrelationKind::kBanded) {
    if (weights_.empty()) return;
    sums_.insert(sums_.begin(), sums);
    released_.insert(released_.begin(), released);
    if (sums_.size() > weights_.size()) sums_.pop_back(), released_.pop_back();
  }
  for (std::size_t i = 0; i < decays_.size(); ++i)
    for (std::size_t k = 0; k < dimension_; ++k) {
      sums_[i][k] = scaled(Wide{sums_[i][k]} * decays_[i], kFraction) + sums[k] * (std::int64_t{1} << kGuard);
      released_[i][k] = released_[i][k] * static_cast<double>(decays_[i]) * kUnit + released[k];
    }
}

NoisySum CorrelatedNoise::add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) {
  const DpEvent& sampling = sum.sampling_.event();
  SOTTO_CHECK(sampling.sampling == SamplingKind::kMinSeparation && sampling.run_steps == correlation_.steps);
  SOTTO_CHECK(sampling.run_step == done_ + 1 && sum.values_.size() == dimension_);
  const DpEvent event = planned_event(sampling, correlation_, sigma, sum.grid_);
  // Of 4,096 units; times kGuard and kMostBltSteps it has 63 bits. To cut is a contraction, so neighbours' sums stay as
  // near; to stop would tell that a sum is so long.
  // Sums are cut here, alike in both data sets, so that no combination leaves 64 bits (privacy.md, 4.4).
  constexpr std::int64_t kLargestSum = std::int64_t{1} << 38;
  std::vector<std::int64_t> sums = std::move(sum.values_);
  for (std::int64_t& value : sums) value = std::clamp(value, -kLargestSum, kLargestSum);
  std::vector<std::int64_t> values(dimension_);
  for (std::size_t k = 0; k < dimension_; ++k) values[k] = sums[k] + secret_lag(k);
  DiscreteGaussian(event.noise_stddev, random).add_to(values);
  // From here on a function of what is released: the values, and those of the steps before.
  std::vector<double> released(dimension_);
  for (std::size_t k = 0; k < dimension_; ++k) {
    released[k] = static_cast<double>(values[k]) - released_lag(k);
    values[k] = std::llround(released[k]);
  }
  keep(sums, released);
  ++done_;
  return NoisySum(event, sum.grid_.clip(), std::move(sum.clipping_), std::move(values));
}

}  // namespace sotto::privacy
