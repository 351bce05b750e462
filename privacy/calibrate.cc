#include "privacy/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"
#include "privacy/rdp.h"

namespace sotto::privacy {
namespace {

constexpr double kPrecision = 1e-7;

// Left free for the discrete mechanism's certificate (below 1e-20 for any plan) and for rounding.
double reachable(Epsilon epsilon) { return epsilon.value() - std::min(1e-9, epsilon.value() / 1000); }

bool within(double target, Delta delta, double sigma, double rate, std::uint64_t steps) {
  const std::array<GaussianSteps, 1> run = {{{NoiseMultiplier(sigma), SamplingRate(rate), steps}}};
  const Result<EpsilonBound> bound = epsilon_of_steps(run, delta);
  return bound.ok() && bound->epsilon.value() <= target;
}

Error out_of_reach(Epsilon epsilon, const std::string& what) {
  return refused("epsilon " + std::to_string(epsilon.value()) + " is out of reach: " + what);
}

}  // namespace

Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps) {
  if (steps == 0) return invalid("steps is 0; give the number of steps that the run will take");
  const double target = reachable(epsilon);
  double low = 1;
  double high = 1;
  while (!within(target, delta, high, rate.value(), steps)) {
    low = high;
    high *= 2;
    if (high > 1e6)
      return out_of_reach(epsilon, "it would need noise above 1000000 times the sensitivity; take fewer steps");
  }
  while (low >= high || within(target, delta, low, rate.value(), steps)) {
    high = low;
    low /= 2;
    if (low < 1e-3) return NoiseMultiplier(high);
  }
  while (high - low > kPrecision * high) {
    const double middle = std::sqrt(low * high);
    (within(target, delta, middle, rate.value(), steps) ? high : low) = middle;
  }
  return NoiseMultiplier(high);
}

Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma) {
  const double target = reachable(epsilon);
  if (!within(target, delta, sigma.value(), rate.value(), 1)) {
    return out_of_reach(epsilon, "one step already exceeds it; use more noise or a smaller rate");
  }
  std::uint64_t low = 1;
  std::uint64_t high = 2;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  while (high < kMost && within(target, delta, sigma.value(), rate.value(), high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (within(target, delta, sigma.value(), rate.value(), middle) ? low : high) = middle;
  }
  return low;
}

Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps) {
  if (steps == 0) return invalid("steps is 0; give the number of steps that the run will take");
  const double target = reachable(epsilon);
  if (within(target, delta, sigma.value(), 1, steps)) return SamplingRate(1);
  double low = 0.5;
  double high = 1;
  while (!within(target, delta, sigma.value(), low, steps)) {
    high = low;
    low /= 2;
    if (low < 1e-12)
      return out_of_reach(epsilon, "no sampling rate above 1e-12 stays below it; use more noise or fewer steps");
  }
  while (high - low > kPrecision * low) {
    const double middle = std::sqrt(low * high);
    (within(target, delta, sigma.value(), middle, steps) ? low : high) = middle;
  }
  return SamplingRate(low);
}

}  // namespace sotto::privacy
