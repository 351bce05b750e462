#include "privacy/mechanism/clipping.h"

#include <cmath>
#include <limits>

#include "privacy/mechanism/grid.h"
#include "privacy/mechanism/noise.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

std::vector<float> random_gradient(std::size_t d, double norm, std::uint64_t seed) {
  FixedRandom random(seed);
  std::vector<float> v(d);
  double square = 0;
  for (float& x : v) {
    x = static_cast<float>(std::ldexp(static_cast<double>(random.bits64() >> 11), -53) - 0.5);
    square += static_cast<double>(x) * x;
  }
  for (float& x : v) x = static_cast<float>(x * norm / std::sqrt(square));
  return v;
}

double norm_of(const std::vector<std::int32_t>& v, std::size_t from = 0, std::size_t count = SIZE_MAX) {
  double square = 0;
  for (std::size_t i = from; i < std::min(v.size(), count == SIZE_MAX ? v.size() : from + count); ++i)
    square += static_cast<double>(v[i]) * v[i];
  return std::sqrt(square);
}

// The clipped vector in the gradient's unit, as the mean of a batch of one would be without noise.
std::vector<double> in_units(const std::vector<std::int32_t>& v, const Grid& grid) {
  std::vector<double> out;
  for (const auto x : v) out.push_back(x * grid.step());
  return out;
}

SampledUnits units(std::size_t count) {
  FixedRandom random(0);
  return SampledUnits::draw(Unit::kPatient, std::vector<std::uint32_t>(count, 1), SamplingRate(1), 1, random);
}

}  // namespace

TEST_CASE("no kind of clipping lets any gradient past the grid's bound", "[privacy]") {
  const std::size_t d = 96;
  for (const auto kind : {ClippingKind::kFlat, ClippingKind::kAutomatic, ClippingKind::kPerLayer, ClippingKind::kAdaptive})
    for (const bool counts : {false, true})
      for (const double threshold : {0.3, 0.001, 40.0}) {
        const Grid grid(ClipNorm(0.3), d + counts);
        const Clipping clipping{kind, kind == ClippingKind::kAdaptive ? threshold : 0.3, {32, 60, 4}, counts};
        for (const double norm : {0.0, 1e-6, 0.29999, 0.3, 0.30001, 17.0, 1e30}) {
          const auto out = clip_and_round(random_gradient(d, norm, 3), grid, clipping);
          CHECK(norm_of(out) <= static_cast<double>(grid.sensitivity()));
        }
        auto broken = random_gradient(d, 1, 4);
        broken[7] = std::numeric_limits<float>::quiet_NaN();
        CHECK(norm_of(clip_and_round(broken, grid, clipping)) == 0);
      }
}

TEST_CASE("automatic clipping normalises, long gradients and short ones alike", "[privacy]") {
  const Grid grid(ClipNorm(1.0), 50, 1e-5);
  const Clipping clipping{ClippingKind::kAutomatic, 1.0, {}, false};
  for (const double norm : {0.001, 0.1, 5.0, 300.0}) {
    const auto gradient = random_gradient(50, norm, 5);
    const auto out = in_units(clip_and_round(gradient, grid, clipping), grid);
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == Approx(gradient[i] / (norm + 0.01)).margin(grid.step()));
  }
}

TEST_CASE("per-layer clipping holds each group to its share and leaves a short group as it is", "[privacy]") {
  const Grid grid(ClipNorm(1.0), 40, 1e-5);
  const Clipping clipping{ClippingKind::kPerLayer, 1.0, {10, 10, 10, 10}, false};
  auto gradient = random_gradient(40, 8, 6);  // each group near 4
  for (std::size_t i = 20; i < 30; ++i) gradient[i] *= 0.01F;
  const auto out = clip_and_round(gradient, grid, clipping);
  for (const std::size_t group : {0U, 10U, 30U}) CHECK(norm_of(out, group, 10) * grid.step() == Approx(0.5).epsilon(1e-4));
  for (std::size_t i = 20; i < 30; ++i) CHECK(out[i] * grid.step() == Approx(gradient[i]).margin(grid.step()));
}

TEST_CASE("a moving threshold scales to the same grid, and the mean scales back", "[privacy]") {
  const Grid grid(ClipNorm(1.0), 30);
  FixedRandom random(7);
  const auto gradient = random_gradient(30, 0.02, 8);
  const Clipping clipping{ClippingKind::kAdaptive, 0.05, {}, false};
  GridAccumulator sum(units(1), grid, clipping);
  sum.add(0, gradient);
  const NoisySum noisy = add_noise(std::move(sum).finish(), NoiseMultiplier(1e-3), random);
  CHECK(noisy.event() == planned_event(Unit::kPatient, SamplingRate(1), NoiseMultiplier(1e-3), grid, 1));
  const auto mean = noisy.mean(ExpectedBatch(SamplingRate(1), 1));
  for (std::size_t i = 0; i < mean.size(); ++i) CHECK(mean[i] == Approx(gradient[i]).margin(0.05 * 8 * 8 * grid.step()));
}

// 40 of 100 units clipped, noise of sigma / (2 beta 100) = 0.005 on the fraction at sigma 0.1: five deviations are 0.025.
TEST_CASE("the noised clip fraction is that of the batch, and costs nothing besides", "[privacy]") {
  const Grid grid(ClipNorm(0.5), 21);
  const Clipping clipping{ClippingKind::kFlat, 0.5, {}, true};
  GridAccumulator sum(units(100), grid, clipping);
  CHECK(sum.dimension() == 20);
  for (std::size_t u = 0; u < 100; ++u) sum.add(u, random_gradient(20, u < 40 ? 3.0 : 0.01, u));
  FixedRandom random(9);
  const NoisySum noisy = add_noise(std::move(sum).finish(), NoiseMultiplier(0.1), random);
  const ExpectedBatch batch(SamplingRate(1), 100);
  CHECK(std::abs(noisy.clip_fraction(batch) - 0.4) < 0.025);
  CHECK(noisy.mean(batch).size() == 20);
  CHECK(noisy.event() == planned_event(Unit::kPatient, SamplingRate(1), NoiseMultiplier(0.1), grid, 1));
}

TEST_CASE("the threshold moves to the wanted quantile of the norms", "[privacy]") {
  // Norms 1, 2, ..., 100: at a quantile of 0.3 the threshold ends between 29 and 32.
  double threshold = 0.5;
  for (int step = 0; step < 200; ++step) {
    int clipped = 0;
    for (int norm = 1; norm <= 100; ++norm) clipped += norm > threshold;
    threshold = next_threshold(threshold, clipped / 100.0, 0.3, 0.5);
  }
  CHECK(threshold > 29);
  CHECK(threshold < 32);
  CHECK(next_threshold(1, 7.0, 0.5, 1) == next_threshold(1, 1.0, 0.5, 1));  // noise beyond [0, 1] is cut
  CHECK(next_threshold(1e-6, 0, 0.5, 1) == 1e-6);
}
