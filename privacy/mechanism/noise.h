// Noise on the grid: the exact discrete Gaussian N_Z(0, s^2), P(x) proportional to exp(-x^2 / (2 s^2)) on the integers,
// added to every coordinate of a clipped sum. Integer arithmetic only, from a RandomSource, never clipped or redrawn
// afterwards. The event that a NoisySum carries is written here, from the values that ran. Not thread-safe (RandomSource is
// not).
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "privacy/mechanism/event.h"
#include "privacy/mechanism/grid.h"
#include "privacy/mechanism/units.h"

namespace sotto::privacy {

// s = max(kSmallestNoiseStddev, ceil(sqrt((sigma * C~)^2 + r^2))) grid units: an integer, so that the sampler is exact,
// large enough for its certificate, and such that the event's effective noise multiplier is never below sigma. Defined for
// every sigma and every Grid's C~.
std::uint64_t noise_stddev(NoiseMultiplier sigma, std::uint64_t sensitivity);

// The event that one step with these parameters would have: for planning and reserving. What ran is NoisySum::event().
DpEvent planned_event(Unit unit, SamplingRate rate, NoiseMultiplier sigma, const Grid& grid, std::uint64_t steps);
// The same of any sampler: `sampling` has the members that SamplingEvent::event() has.
DpEvent planned_event(const DpEvent& sampling, NoiseMultiplier sigma, const Grid& grid, std::uint64_t steps);

// A released vector: the sum over the drawn units plus the noise, with the event to account it by.
class NoisySum {
 public:
  // Consumes the clipped sum: nobody keeps it beside its noised form.
  static NoisySum add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random);

  NoisySum(NoisySum&&) noexcept = default;
  NoisySum& operator=(NoisySum&&) noexcept = default;
  NoisySum(const NoisySum&) = delete;
  NoisySum& operator=(const NoisySum&) = delete;

  const DpEvent& event() const { return event_; }
  const std::vector<std::int64_t>& values() const { return values_; }  // grid units
  // In the gradient's unit: values * step / expected batch, times the clipping threshold over C where it moves. Without the
  // coordinate that counts clipped units.
  std::vector<float> mean(ExpectedBatch batch) const;
  // The noised share of units that were clipped, of the expected batch; may lie outside [0, 1]. Only where they are counted.
  double clip_fraction(ExpectedBatch batch) const;

 private:
  friend class CorrelatedNoise;
  NoisySum(DpEvent event, ClipNorm clip, Clipping clipping, std::vector<std::int64_t> values)
      : event_(event), clip_(clip), clipping_(std::move(clipping)), values_(std::move(values)) {}
  DpEvent event_;
  ClipNorm clip_;
  Clipping clipping_;
  std::vector<std::int64_t> values_;
};

inline NoisySum add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random) {
  return NoisySum::add_noise(std::move(sum), sigma, random);
}

// What a run without privacy uses in place of a NoisySum. It has no event.
class NonPrivateSum {
 public:
  explicit NonPrivateSum(UnclippedSum&& sum) : values_(std::move(sum.values_)) {}
  std::vector<float> mean(ExpectedBatch batch) const;

 private:
  std::vector<double> values_;
};

}  // namespace sotto::privacy
