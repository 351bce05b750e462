#include "privacy/mechanism/noise.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "privacy/mechanism/discrete_gaussian.h"

namespace sotto::privacy {
namespace {

// `sampling` with the noise's members filled in.
DpEvent event_of(DpEvent event, std::uint64_t s, const Grid& grid, std::uint64_t count) {
  event.noise_stddev = s;
  event.sensitivity = grid.sensitivity();
  event.dimension = grid.dimension();
  event.grid_step = grid.step();
  event.count = count;
  return event;
}

}  // namespace

std::uint64_t noise_stddev(NoiseMultiplier sigma, std::uint64_t sensitivity) {
  SOTTO_CHECK(sensitivity > 0 && sensitivity <= Grid::kLargestSensitivity);
  const double wanted = std::ceil(std::hypot(sigma.value() * static_cast<double>(sensitivity), kRoundingWidth));
  DpEvent event;
  event.sensitivity = sensitivity;
  event.noise_stddev = std::max(kSmallestNoiseStddev, static_cast<std::uint64_t>(wanted));
  while (effective_noise_multiplier(event).value() < sigma) ++event.noise_stddev;  // what rounding took
  return event.noise_stddev;
}

DpEvent planned_event(Unit unit, SamplingRate rate, NoiseMultiplier sigma, const Grid& grid, std::uint64_t steps) {
  DpEvent sampling;
  sampling.unit = unit;
  sampling.sampling_rate = rate;
  return planned_event(sampling, sigma, grid, steps);
}

DpEvent planned_event(const DpEvent& sampling, NoiseMultiplier sigma, const Grid& grid, std::uint64_t steps) {
  SOTTO_CHECK(steps > 0);
  return event_of(sampling, noise_stddev(sigma, grid.sensitivity()), grid, steps);
}

NoisySum NoisySum::add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) {
  const std::uint64_t s = noise_stddev(sigma, sum.grid_.sensitivity());
  std::vector<std::int64_t> values = std::move(sum.values_);
  SOTTO_CHECK(values.size() == sum.grid_.dimension());  // a sum is noised once
  DiscreteGaussian(s, random).add_to(values);
  return NoisySum(event_of(sum.sampling_.event(), s, sum.grid_, 1), sum.grid_.clip(), std::move(sum.clipping_),
                  std::move(values));
}

std::vector<float> NoisySum::mean(ExpectedBatch batch) const {
  std::vector<float> out;
  const std::size_t size = values_.size() - clipping_.counts_clipped;
  out.reserve(size);
  const double scale = event_.grid_step * (clipping_.threshold / clip_.l2()) / batch.value();
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<float>(static_cast<double>(values_[i]) * scale));
  return out;
}

// Each unit adds +1 or -1 times a number of grid units that is the same for all.
double NoisySum::clip_fraction(ExpectedBatch batch) const {
  SOTTO_CHECK(clipping_.counts_clipped);
  const double one = std::floor(kCountShare * clip_.l2() / event_.grid_step);
  return 0.5 + static_cast<double>(values_.back()) / (2 * one * batch.value());
}

std::vector<float> NonPrivateSum::mean(ExpectedBatch batch) const {
  std::vector<float> out;
  out.reserve(values_.size());
  for (const double value : values_) out.push_back(static_cast<float>(value / batch.value()));
  return out;
}

}  // namespace sotto::privacy
