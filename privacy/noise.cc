#include "privacy/noise.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "privacy/discrete_gaussian.h"

namespace sotto::privacy {
namespace {

DpEvent event_of(Unit unit, SamplingRate rate, std::uint64_t s, const Grid& grid, std::uint64_t count) {
  DpEvent event;
  event.unit = unit;
  event.sampling_rate = rate;
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
  SOTTO_CHECK(steps > 0);
  return event_of(unit, rate, noise_stddev(sigma, grid.sensitivity()), grid, steps);
}

NoisySum NoisySum::add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) {
  const std::uint64_t s = noise_stddev(sigma, sum.grid_.sensitivity());
  std::vector<std::int64_t> values = std::move(sum.values_);
  SOTTO_CHECK(values.size() == sum.grid_.dimension());  // a sum is noised once
  DiscreteGaussian noise(s, random);
  for (std::int64_t& value : values) value += noise.sample();
  return NoisySum(event_of(sum.sampling_.unit(), sum.sampling_.rate(), s, sum.grid_, 1), std::move(values));
}

std::vector<float> NoisySum::mean(ExpectedBatch batch) const {
  std::vector<float> out;
  out.reserve(values_.size());
  const double scale = event_.grid_step / batch.value();
  for (const std::int64_t value : values_) out.push_back(static_cast<float>(static_cast<double>(value) * scale));
  return out;
}

std::vector<float> NonPrivateSum::mean(ExpectedBatch batch) const {
  std::vector<float> out;
  out.reserve(values_.size());
  for (const double value : values_) out.push_back(static_cast<float>(value / batch.value()));
  return out;
}

}  // namespace sotto::privacy
