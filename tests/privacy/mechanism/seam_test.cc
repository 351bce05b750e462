// What an auditor must see when a step runs with other values than planned: each such run shows a larger epsilon than the
// plan's or fails. The step below is the one that a client takes, with a seam for its parameters.
#include <vector>

#include "privacy/accounting/calibrate.h"
#include "privacy/accounting/compose.h"
#include "privacy/mechanism/noise.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

constexpr std::uint64_t kSteps = 16;
constexpr std::size_t kDimension = 40;
const Delta kDelta(1e-5);
const SamplingRate kRate(24.0 / 1400);

NoisySum step(SamplingRate rate, NoiseMultiplier sigma, RandomSource& random) {
  const Grid grid(ClipNorm(0.3), kDimension);
  const std::vector<std::uint32_t> records(1387, 2);
  GridAccumulator sum(SampledUnits::draw(Unit::kPatient, records, rate, 1, random), grid);
  const std::vector<float> gradient(kDimension, 0.5F);
  for (std::size_t i = 0; i < sum.units().units().size(); ++i) sum.add(i, gradient);
  return add_noise(std::move(sum).finish(), sigma, random);
}

double epsilon_of_run(std::uint64_t steps, SamplingRate rate, NoiseMultiplier sigma) {
  FixedRandom random(21);
  std::vector<DpEvent> events;
  for (std::uint64_t i = 0; i < steps; ++i) events.push_back(step(rate, sigma, random).event());
  return compose(events, kDelta)->epsilon.value();
}

}  // namespace

TEST_CASE("a run with other values than planned shows the larger epsilon in its own events", "[privacy]") {
  const NoiseMultiplier sigma = calibrate_noise(Epsilon(8), kDelta, kRate, kSteps).value();
  CHECK(epsilon_of_run(kSteps, kRate, sigma) <= 8);
  CHECK(epsilon_of_run(kSteps, SamplingRate(2 * kRate.value()), sigma) > 8.5);    // the sampler at 2q
  CHECK(epsilon_of_run(kSteps, kRate, NoiseMultiplier(sigma.value() / 2)) > 16);  // half the noise
  CHECK(epsilon_of_run(kSteps + 1, kRate, sigma) > 8);                            // one step more
  CHECK_THROWS_AS(NoiseMultiplier(0), Failure);                                   // noise off
  CHECK(epsilon_of_run(1, kRate, NoiseMultiplier(0.02)) > 1e3);                   // as good as off
}

TEST_CASE("events of a run with the noise taken out or lowered afterwards are refused or cost more", "[privacy]") {
  FixedRandom random(22);
  const DpEvent ran = step(kRate, NoiseMultiplier(0.5), random).event();
  DpEvent off = ran;
  off.noise_stddev = 0;
  CHECK(compose({&off, 1}, kDelta).error().code == ErrorCode::kRefused);
  DpEvent longer = ran;
  longer.sensitivity *= 2;
  CHECK(compose({&longer, 1}, kDelta)->epsilon.value() > compose({&ran, 1}, kDelta)->epsilon.value());
}

// Two-sided 5 standard deviations of a binomial over 100 steps of 1387 units: false-alarm rate 5.8e-7.
TEST_CASE("the number of units that a step draws fits the rate of its event and not twice that rate", "[privacy]") {
  FixedRandom random(23);
  const std::vector<std::uint32_t> records(1387, 1);
  double drawn = 0;
  for (int i = 0; i < 100; ++i) {
    drawn += static_cast<double>(SampledUnits::draw(Unit::kPatient, records, kRate, 1, random).units().size());
  }
  const auto z = [&](double q) { return (drawn - 138700 * q) / std::sqrt(138700 * q * (1 - q)); };
  CHECK(std::abs(z(kRate.value())) < 5);
  CHECK(z(2 * kRate.value()) < -5);
}
