#include "privacy/mechanism/noise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <type_traits>

#include "privacy/mechanism/discrete_gaussian.h"
#include "privacy/mechanism/exp_comparison.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

template <class Sum>
concept CanBeNoised =
    requires(Sum sum, NoiseMultiplier sigma, RandomSource& random) { add_noise(std::move(sum), sigma, random); };
template <class Sum>
concept CarriesEvent = requires(const Sum& sum) { sum.event(); };

// What is not yet clipped, or not private at all, has no way into a NoisySum.
static_assert(CanBeNoised<ClippedSum>);
static_assert(!CanBeNoised<SampledUnits>);
static_assert(!CanBeNoised<GridAccumulator>);
static_assert(!CanBeNoised<UnclippedSum>);
static_assert(!CanBeNoised<UnclippedAccumulator>);
static_assert(!CanBeNoised<std::vector<std::int64_t>>);
static_assert(!CanBeNoised<NoisySum>);
static_assert(!std::is_invocable_v<decltype(add_noise), ClippedSum&, NoiseMultiplier, RandomSource&>);  // only consumed
static_assert(CarriesEvent<NoisySum>);
static_assert(!CarriesEvent<NonPrivateSum>);
static_assert(!std::is_constructible_v<NoisySum, NonPrivateSum>);
static_assert(!std::is_constructible_v<NoisySum, DpEvent, std::vector<std::int64_t>>);
static_assert(!std::is_copy_constructible_v<NoisySum>);

// Chi-square of `draws` samples against the exact probabilities, cells below 10 expected joined into the tails.
struct ChiSquare {
  double statistic = 0;
  double degrees = -1;
};

ChiSquare chi_square(std::uint64_t s, int draws, std::uint64_t seed) {
  FixedRandom random(seed);
  DiscreteGaussian noise(s, random);
  std::map<std::int64_t, double> counts;
  for (int i = 0; i < draws; ++i) counts[noise.sample()] += 1;
  const double width = static_cast<double>(s);
  const auto weight = [&](std::int64_t x) { return std::exp(-static_cast<double>(x * x) / (2 * width * width)); };
  double total = 0;
  for (auto x = static_cast<std::int64_t>(-40 * width); x <= static_cast<std::int64_t>(40 * width); ++x) total += weight(x);
  ChiSquare result;
  const auto cell = [&](double expected, double seen) {
    result.statistic += (seen - expected) * (seen - expected) / expected;
    result.degrees += 1;
  };
  std::int64_t edge = 0;
  while (draws * weight(edge + 1) / total >= 10) ++edge;
  double inner = 0;
  double seen_left = 0;
  double seen_right = 0;
  for (std::int64_t x = -edge; x <= edge; ++x) {
    cell(draws * weight(x) / total, counts[x]);
    inner += weight(x) / total;
  }
  for (const auto& [x, count] : counts) {
    if (x < -edge) seen_left += count;
    if (x > edge) seen_right += count;
  }
  cell(draws * (1 - inner) / 2, seen_left);
  cell(draws * (1 - inner) / 2, seen_right);
  return result;
}

// Wilson and Hilferty 1931: (X / k)^(1/3) is nearly normal with mean 1 - 2/(9k) and variance 2/(9k).
double z_score(const ChiSquare& x) {
  const double v = 2 / (9 * x.degrees);
  return (std::cbrt(x.statistic / x.degrees) - (1 - v)) / std::sqrt(v);
}

ClippedSum clipped_sum(const std::vector<float>& gradient, const Grid& grid, SamplingRate rate = SamplingRate(1)) {
  FixedRandom random(11);
  const std::vector<std::uint32_t> records = {1};
  GridAccumulator sum(SampledUnits::draw(Unit::kPatient, records, rate, 1, random), grid);
  for (std::size_t i = 0; i < sum.units().units().size(); ++i) sum.add(i, gradient);
  return std::move(sum).finish();
}

}  // namespace

// False-alarm rate for a random seed: z > 5, about 3e-7 for each s.
TEST_CASE("discrete Gaussian draws have the exact probabilities", "[privacy]") {
  for (const std::uint64_t s : {1U, 2U, 3U, 8U, 20U}) {
    const ChiSquare x = chi_square(s, 200000, 100 + s);
    INFO("s = " << s << ": chi-square " << x.statistic << " at " << x.degrees << " degrees of freedom");
    CHECK(x.degrees >= 6);
    CHECK(z_score(x) < 5);
  }
}

// The statistic of 10,000 draws x: sum x^2 / s^2, mean 10,000, standard deviation sqrt(20,000). Two-sided 5 standard
// deviations: false-alarm rate 5.8e-7. Half or double the noise would miss by 53 and 212 of them.
TEST_CASE("over 10,000 coordinates the noised sum less the exact sum has the spread that its event states", "[privacy]") {
  const std::size_t d = 10000;
  const Grid grid{ClipNorm(0.3), d};
  const std::vector<float> gradient(d, 0.001F);
  const std::vector<std::int64_t> exact = clipped_sum(gradient, grid).reveal_without_noise();
  for (const double sigma : {0.01, 0.481, 30.0, 1e5, 1e6}) {
    FixedRandom random(12);
    const NoisySum noisy = add_noise(clipped_sum(gradient, grid), NoiseMultiplier(sigma), random);
    const double s = static_cast<double>(noisy.event().noise_stddev);
    double squares = 0;
    double mean = 0;
    for (std::size_t i = 0; i < d; ++i) {
      const double x = static_cast<double>(noisy.values()[i] - exact[i]);
      squares += x * x / (s * s);
      mean += x / s;
    }
    CHECK(std::abs(squares - 1e4) / std::sqrt(2e4) < 5);
    CHECK(std::abs(mean) / 100 < 5);
  }
}

// Kolmogorov-Smirnov against the normal distribution, to which s = 151,053 is closer than 10,000 draws can tell; 2 exp(-2
// x^2) at x = 2.7 is 9e-7.
TEST_CASE("at a training run's width the draws have the normal distribution's shape", "[privacy]") {
  FixedRandom random(13);
  const double s = 151053;
  DiscreteGaussian noise(151053, random);
  std::vector<double> draws(10000);
  for (double& x : draws) x = static_cast<double>(noise.sample()) / s;
  std::sort(draws.begin(), draws.end());
  double largest = 0;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-draws[i] / std::sqrt(2.0));
    largest =
        std::max({largest, std::abs(cdf - static_cast<double>(i) / 1e4), std::abs(cdf - static_cast<double>(i + 1) / 1e4)});
  }
  CHECK(largest * 100 < 2.7);
}

// 2,000,000 draws at a training run's width in 64 cells of equal probability: chi-square with 63 degrees of freedom, z > 5
// has a false-alarm rate of 3e-7. The moments: the sum of squares over s^2 strays by sqrt(2 n), that of fourth powers by
// sqrt(96 n), 5 standard deviations each, 5.8e-7. Tails: beyond 4 s lie 6.33e-5 of the mass, 126.7 draws; 5 standard
// deviations are 56.
TEST_CASE("two million draws have the cells, the moments and the tails of the normal distribution at a run's width",
          "[privacy]") {
  constexpr std::size_t kDraws = 2000000;
  const double s = 151053;
  FixedRandom random(31);
  std::vector<std::int64_t> draws(kDraws);
  DiscreteGaussian(151053, random).add_to(draws);
  ChiSquare cells{0, 63};
  std::vector<double> counts(64);
  double squares = 0, fourths = 0, tail = 0;
  for (const auto draw : draws) {
    const double x = static_cast<double>(draw) / s;
    counts[static_cast<std::size_t>(64 * 0.5 * std::erfc(-x / std::sqrt(2.0)))] += 1;
    squares += x * x;
    fourths += x * x * x * x;
    tail += std::abs(x) > 4;
  }
  const double expected = kDraws / 64.0;
  for (const double count : counts) cells.statistic += (count - expected) * (count - expected) / expected;
  CHECK(z_score(cells) < 5);
  CHECK(std::abs(squares - kDraws) < 5 * std::sqrt(2.0 * kDraws));
  CHECK(std::abs(fourths - 3.0 * kDraws) < 5 * std::sqrt(96.0 * kDraws));
  CHECK(std::abs(tail - 6.334e-5 * kDraws) < 56);
}

// exp(-1/2), exp(-800/49) and exp(-1/8) to 64 and more bits (Python fractions, 200 terms): numbers next to them fall on
// either side.
TEST_CASE("the exact comparison decides next to the bound", "[privacy]") {
  FixedRandom random(32);
  const ExpBound half{1, 1, 1, 1, 0};
  CHECK(below_exp(11188515852577165298U, 64, half, random));
  CHECK_FALSE(below_exp(11188515852577165300U, 64, half, random));
  const ExpBound far{40, 7, 1, 1, 0};
  CHECK(below_exp(1497605991791U, 64, far, random));
  CHECK_FALSE(below_exp(1497605991793U, 64, far, random));
  const ExpBound scaled{1, 2, 3, 4, 0};  // 3/4 exp(-1/8)
  CHECK(below_exp(12209395880864565548U, 64, scaled, random));
  CHECK_FALSE(below_exp(12209395880864565550U, 64, scaled, random));
}

// 20,000 answers each: 5 standard deviations are below 0.018, false-alarm rate 5.8e-7.
TEST_CASE("the exact comparison's answers have the probability of the bound", "[privacy]") {
  FixedRandom random(33);
  for (const ExpBound& bound : {ExpBound{3, 2, 1, 1, 0}, ExpBound{1000, 300, 5, 7, 3}, ExpBound{1, 1000, 9, 10, 0}}) {
    const double x = static_cast<double>(bound.m) / static_cast<double>(bound.s);
    const double p = std::ldexp(static_cast<double>(bound.numerator) / static_cast<double>(bound.denominator),
                                static_cast<int>(bound.shift)) *
                     std::exp(-x * x / 2);
    int below = 0;
    for (int i = 0; i < 20000; ++i) below += below_exp(random.bits64() & 7, 3, bound, random);
    CHECK(std::abs(below / 20000.0 - p) < 5 * std::sqrt(p * (1 - p) / 20000));
  }
}

TEST_CASE("neighbouring coordinates' draws are uncorrelated", "[privacy]") {
  FixedRandom random(14);  // |z| > 5: false-alarm rate 5.8e-7
  DiscreteGaussian noise(1000, random);
  double product = 0;
  double before = static_cast<double>(noise.sample());
  for (int i = 0; i < 10000; ++i) {
    const double x = static_cast<double>(noise.sample());
    product += x * before / 1e6;
    before = x;
  }
  CHECK(std::abs(product) / 100 < 5);
}

TEST_CASE("the event says what ran: unit, rate, noise, bound, dimension and grid", "[privacy]") {
  const Grid grid{ClipNorm(0.3), 50};
  FixedRandom random(15);
  const NoisySum noisy = add_noise(clipped_sum(std::vector<float>(50, 1.0F), grid), NoiseMultiplier(0.481), random);
  const DpEvent& event = noisy.event();
  CHECK(event == planned_event(Unit::kPatient, SamplingRate(1), NoiseMultiplier(0.481), grid, 1));
  CHECK(event.sensitivity == grid.sensitivity());
  CHECK(event.noise_stddev == noise_stddev(NoiseMultiplier(0.481), grid.sensitivity()));
  CHECK(event.dimension == 50);
  CHECK(event.grid_step == grid.step());
  CHECK(event.count == 1);
}

TEST_CASE("the effective noise multiplier is never below the one asked for, and hardly above", "[privacy]") {
  const Grid grid{ClipNorm(0.3), 115200};
  for (const double sigma : {0.1, 0.479922668, 0.5, 1.0, 17.25}) {
    const DpEvent event = planned_event(Unit::kPatient, SamplingRate(0.5), NoiseMultiplier(sigma), grid, 1);
    const double effective = effective_noise_multiplier(event)->value();
    CHECK(effective >= sigma);
    CHECK(effective < sigma + 2.0 / static_cast<double>(grid.sensitivity()));
  }
}

TEST_CASE("an empty batch is noised like any other", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 8};
  FixedRandom random(16);
  const NoisySum noisy = add_noise(clipped_sum({}, grid, SamplingRate(0x1p-64)), NoiseMultiplier(1), random);
  CHECK(std::any_of(noisy.values().begin(), noisy.values().end(), [](std::int64_t x) { return x != 0; }));
}

TEST_CASE("the mean divides by the declared expected batch", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 3};
  FixedRandom random(17);
  const NoisySum noisy = add_noise(clipped_sum({0.5F, 0, 0}, grid), NoiseMultiplier(1), random);
  const auto mean = noisy.mean(ExpectedBatch(SamplingRate(0.25), 40));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(mean[i] == static_cast<float>(static_cast<double>(noisy.values()[i]) * grid.step() / 10));
  }
}

TEST_CASE("the noise has the least width that its proof needs, however little was asked for, and every width can be drawn",
          "[privacy]") {
  CHECK(noise_stddev(NoiseMultiplier(1e-3), 512) == 8);
  CHECK(noise_stddev(NoiseMultiplier(1e-3), 1) == 8);
  CHECK(noise_stddev(NoiseMultiplier(0.01), 800) == 9);  // sqrt(64 + 4), up
  CHECK(noise_stddev(NoiseMultiplier(1e6), Grid::kLargestSensitivity) <= DiscreteGaussian::kLargestStddev);
  CHECK_THROWS_AS(noise_stddev(NoiseMultiplier(1), Grid::kLargestSensitivity + 1), Failure);
}

TEST_CASE("a sum is noised once", "[privacy]") {
  const Grid grid{ClipNorm(1.0), 3};
  FixedRandom random(18);
  ClippedSum sum = clipped_sum({0.5F, 0, 0}, grid);
  const NoisySum once = add_noise(std::move(sum), NoiseMultiplier(1), random);
  CHECK_THROWS_AS(add_noise(std::move(sum), NoiseMultiplier(1), random), Failure);  // NOLINT: used after move on purpose
}

TEST_CASE("a run without privacy sums the same gradients as they are", "[privacy]") {
  FixedRandom random(19);
  const std::vector<std::uint32_t> records(2, 1);
  UnclippedAccumulator sum(SampledUnits::draw(Unit::kPatient, records, SamplingRate(1), 1, random), 2);
  sum.add(0, std::vector<float>{100, -3});
  sum.add(1, std::vector<float>{50, 1});
  const NonPrivateSum plain(std::move(sum).finish());
  CHECK(plain.mean(ExpectedBatch(SamplingRate(1), 2)) == std::vector<float>{75, -1});
}

TEST_CASE("without privacy a step of which no gradient is finite says so, and one lost unit does not", "[privacy]") {
  const float infinite = std::numeric_limits<float>::infinity();
  const auto lost = [&](std::vector<std::vector<float>> gradients) {
    FixedRandom random(20);
    UnclippedAccumulator sum(
        SampledUnits::draw(Unit::kPatient, std::vector<std::uint32_t>(gradients.size(), 1), SamplingRate(1), 1, random), 2);
    for (std::size_t i = 0; i < gradients.size(); ++i) sum.add(i, gradients[i]);
    return std::move(sum).finish().lost_every_unit();
  };
  CHECK(lost({{infinite, 1}, {0, std::nanf("")}}));
  CHECK_FALSE(lost({{infinite, 1}, {0, 1}}));
  CHECK_FALSE(lost({}));
}
