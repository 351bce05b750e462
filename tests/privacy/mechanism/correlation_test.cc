// Correlated noise: its covariance, that what is released is the sums plus that noise, and that its events say what ran.
#include "privacy/mechanism/correlation.h"

#include <cmath>

#include "privacy/accounting/compose.h"
#include "privacy/accounting/mechanism.h"
#include "privacy/accounting/release_rdp.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

constexpr std::uint64_t kSeparation = 4;

const std::vector<Correlation> kBoth = {
    {CorrelationKind::kBanded, 5, 12}, {CorrelationKind::kBlt, 8, 12}, {CorrelationKind::kBanded, 1, 12}};

// The clipped sum of step `step` (from 1) over `gradients`, units drawn as for a run of `steps`.
ClippedSum sum_of(const std::vector<std::vector<float>>& gradients, const Grid& grid, std::uint64_t steps,
                  std::uint64_t step) {
  FixedRandom random(8);
  const std::vector<std::uint32_t> units(gradients.size(), 1);
  auto drawn = SampledUnits::draw_separated({Unit::kPatient, units, 1}, {kSeparation, steps, step}, fixed_slots(7), random);
  std::vector<std::uint32_t> which;
  for (const auto& unit : drawn.units()) which.push_back(unit.unit);
  GridAccumulator sum(std::move(drawn), grid);
  for (std::size_t i = 0; i < which.size(); ++i) sum.add(i, gradients[which[i]]);
  return std::move(sum).finish();
}

// Coefficients of C^-1, from those of C.
std::vector<double> inverse(const std::vector<double>& c, std::size_t steps) {
  std::vector<double> d(steps);
  for (std::size_t t = 0; t < steps; ++t) {
    d[t] = t == 0 ? 1 : 0;
    for (std::size_t j = 1; j <= t && j < c.size(); ++j) d[t] -= c[j] * d[t - j];
  }
  return d;
}

}  // namespace

TEST_CASE("the coefficients are those of the square root of the prefix sums", "[privacy]") {
  const auto banded = coefficients({CorrelationKind::kBanded, 5, 100});
  REQUIRE(banded.size() == 5);
  for (const auto& [j, c] : {std::pair(1, 0.5), std::pair(2, 0.375), std::pair(3, 0.3125), std::pair(4, 0.2734375)})
    CHECK(banded[static_cast<std::size_t>(j)] == Approx(c).margin(1e-9));
  const auto blt = coefficients({CorrelationKind::kBlt, 10, 1000});
  REQUIRE(blt.size() == 1000);
  double wanted = 1;
  for (std::size_t j = 1; j < blt.size(); ++j) {
    wanted *= (2.0 * static_cast<double>(j) - 1) / (2.0 * static_cast<double>(j));
    CHECK(blt[j] == Approx(wanted).epsilon(0.05));
    CHECK(blt[j] <= blt[j - 1]);
  }
  for (std::uint64_t m = 1; m <= 64; m *= 2)
    for (const std::uint64_t n : {1U, 2U, 50U, 4096U})
      CHECK(coefficients({CorrelationKind::kBlt, m, n})[n > 1 ? 1 : 0] <= 1);
}

TEST_CASE("steps of correlated noise have the covariance of C^-1 Z, and its prefix sums are smaller than independent ones",
          "[privacy]") {
  // 6,000 coordinates of noise alone. A covariance estimate strays by about s_i s_j sqrt(2 / 6000); six of those deviations
  // leave a false-alarm probability below 1e-6 over the 78 pairs.
  constexpr std::size_t kCoordinates = 6000;
  for (const auto& correlation : kBoth) {
    const Grid grid = correlated_grid(ClipNorm(1), kCoordinates);
    CorrelatedNoise noise(correlation, kCoordinates);
    FixedRandom random(21);
    std::vector<std::vector<double>> steps;
    double s = 0;
    for (std::uint64_t t = 1; t <= correlation.steps; ++t) {
      const auto noisy = noise.add_noise(sum_of({}, grid, correlation.steps, t), NoiseMultiplier(0.7), random);
      steps.emplace_back(noisy.values().begin(), noisy.values().end());
      s = static_cast<double>(noisy.event().noise_stddev);
    }
    const auto d = inverse(coefficients(correlation), correlation.steps);
    const auto expected = [&](std::size_t i, std::size_t j) {
      double sum = 0;
      for (std::size_t k = 0; k <= std::min(i, j); ++k) sum += d[i - k] * d[j - k];
      return sum;
    };
    double prefix = 0, independent = 0;
    for (std::size_t i = 0; i < steps.size(); ++i)
      for (std::size_t j = 0; j <= i; ++j) {
        double found = 0;
        for (std::size_t k = 0; k < kCoordinates; ++k) found += steps[i][k] * steps[j][k] / (s * s);
        found /= kCoordinates;
        CHECK(std::abs(found - expected(i, j)) < 6 * std::sqrt(2.0 / kCoordinates * expected(i, i) * expected(j, j)));
      }
    for (std::size_t k = 0; k < kCoordinates; ++k) {
      double sum = 0;
      for (const auto& step : steps) sum += step[k] / s;
      prefix += sum * sum / kCoordinates;
      independent += static_cast<double>(steps.size()) / kCoordinates;
    }
    if (correlation.bands > 1) CHECK(prefix < 0.5 * independent);
  }
}

TEST_CASE("what is released is the step's sum plus the noise of the run, to a grid unit", "[privacy]") {
  FixedRandom source(31);
  std::vector<std::vector<float>> gradients(40, std::vector<float>(50));
  for (auto& g : gradients)
    for (float& x : g) x = static_cast<float>(static_cast<double>(source.below(2001)) - 1000) / 1000;
  for (const auto& correlation : kBoth) {
    const Grid grid = correlated_grid(ClipNorm(1), 50);
    CorrelatedNoise with(correlation, 50), without(correlation, 50);
    FixedRandom same(9), again(9);  // the same draws of Z
    for (std::uint64_t t = 1; t <= correlation.steps; ++t) {
      const auto sum = sum_of(gradients, grid, correlation.steps, t);
      const auto exact = sum.reveal_without_noise();
      const auto noisy = with.add_noise(sum_of(gradients, grid, correlation.steps, t), NoiseMultiplier(1), same);
      const auto noise = without.add_noise(sum_of({}, grid, correlation.steps, t), NoiseMultiplier(1), again);
      std::int64_t largest = 0;
      for (std::size_t k = 0; k < exact.size(); ++k)
        largest = std::max(largest, std::abs(noisy.values()[k] - noise.values()[k] - exact[k]));
      // Roundings of each step pass through C^-1, whose coefficients' magnitudes add up to at most 2.
      CHECK(largest <= 4);
    }
  }
}

TEST_CASE("neighbouring runs' combined sums are no farther apart than the event of the run says", "[privacy]") {
  // The combination without its noise: two runs under the same draws differ as Y does, before the recurrence.
  FixedRandom source(41);
  constexpr std::size_t kCoordinates = 30;
  std::vector<std::vector<float>> gradients(16, std::vector<float>(kCoordinates));
  for (auto& g : gradients)
    for (float& x : g) x = static_cast<float>(static_cast<double>(source.below(2001)) + 1) / 1000;
  for (const auto& correlation : kBoth) {
    const Grid grid = correlated_grid(ClipNorm(1), kCoordinates);
    const auto c = coefficients(correlation);
    auto fewer = gradients;
    fewer[5].assign(kCoordinates, 0.0F);  // unit 5 is not there
    std::vector<std::vector<double>> differences;
    for (std::uint64_t t = 1; t <= correlation.steps; ++t) {
      const auto one = sum_of(gradients, grid, correlation.steps, t), other = sum_of(fewer, grid, correlation.steps, t);
      differences.emplace_back();
      for (std::size_t k = 0; k < kCoordinates; ++k)
        differences.back().push_back(static_cast<double>(one.reveal_without_noise()[k] - other.reveal_without_noise()[k]));
    }
    double squares = 0;
    for (std::size_t t = 0; t < differences.size(); ++t)
      for (std::size_t k = 0; k < kCoordinates; ++k) {
        double y = 0;
        for (std::size_t j = 0; j <= t && j < c.size(); ++j) y += c[j] * differences[t - j][k];
        squares += y * y;
      }
    DpEvent sampling;
    sampling.sampling = SamplingKind::kMinSeparation;
    sampling.min_separation = kSeparation;
    sampling.run_steps = correlation.steps;
    const auto event = planned_event(sampling, correlation, NoiseMultiplier(1), grid);
    const auto release = release_of(event).value();
    const double sens = correlated_sensitivity(std::get<MatrixMechanism>(release.mechanism));
    CHECK(std::sqrt(squares) + static_cast<double>(rounding_distance(correlation, kCoordinates)) <=
          sens * static_cast<double>(event.sensitivity));
    CHECK(std::sqrt(squares) > 0.5 * static_cast<double>(event.sensitivity));
  }
}

TEST_CASE("a run's events survive their encodings and are charged as one release, whole with the first step", "[privacy]") {
  const Correlation correlation{CorrelationKind::kBlt, 6, 12};
  const Grid grid = correlated_grid(ClipNorm(1), 100);
  CorrelatedNoise noise(correlation, 100);
  FixedRandom random(3);
  std::vector<DpEvent> events;
  for (std::uint64_t t = 1; t <= 12; ++t) {
    const auto noisy = noise.add_noise(sum_of({}, grid, 12, t), NoiseMultiplier(2), random);
    events.push_back(noisy.event());
    CHECK(decode_event(encode(noisy.event())).value() == noisy.event());
    CHECK(event_from_json(to_json(noisy.event())).value() == noisy.event());
  }
  DpEvent run = events.front();
  run.run_step = 0;
  const double whole = compose({&run, 1}, Delta(1e-5))->epsilon.value();
  CHECK(compose(events, Delta(1e-5))->epsilon.value() == whole);
  CHECK(compose(std::span(events).first(1), Delta(1e-5))->epsilon.value() == whole);
  CHECK(compose(std::span(events).subspan(1), Delta(1e-5)).error().message.find("without the run's first step") !=
        std::string::npos);
  // Three participations, four steps apart, by hand: a Gaussian of the sensitivity of theorem 2.
  const auto c = coefficients(correlation);
  std::vector<double> column(12);
  for (const std::size_t first : {0U, 4U, 8U})
    for (std::size_t i = 0; first + i < 12; ++i) column[first + i] += c[i];
  double squares = 0;
  for (const double v : column) squares += v * v;
  const auto release = release_of(run).value();
  CHECK(correlated_sensitivity(std::get<MatrixMechanism>(release.mechanism)) == Approx(std::sqrt(squares)).epsilon(1e-9));
  CHECK(std::get<MatrixMechanism>(release.mechanism).noise_multiplier == Approx(2).epsilon(1e-4));

  DpEvent sampled = events.front();
  sampled.sampling = SamplingKind::kPoisson;
  CHECK_FALSE(decode_event(encode(sampled)).ok());
  sampled = events.front();
  sampled.bands = 65;
  CHECK(decode_event(encode(sampled)).error().message.find("bands") != std::string::npos);
}

TEST_CASE("units that are kept apart take part once in every separation steps, each always as far apart", "[privacy]") {
  const std::vector<std::uint32_t> units(200, 1);
  std::vector<std::vector<std::uint64_t>> steps_of(units.size());
  for (std::uint64_t t = 1; t <= 15; ++t) {
    FixedRandom random(t);
    const auto drawn = SampledUnits::draw_separated({Unit::kPatient, units, 1}, {6, 15, t}, fixed_slots(5), random);
    CHECK(drawn.event().event().run_step == t);
    for (const auto& unit : drawn.units()) steps_of[unit.unit].push_back(t);
  }
  for (const auto& steps : steps_of) {
    REQUIRE(steps.size() >= 2);
    CHECK(steps.front() <= 6);
    for (std::size_t i = 1; i < steps.size(); ++i) CHECK(steps[i] - steps[i - 1] == 6);
  }
}

TEST_CASE("the sensitivity of a run is the largest over all ways to take part as often and as far apart", "[privacy]") {
  const auto moved = [](const std::vector<double>& c, std::uint64_t steps, const std::vector<std::uint64_t>& columns) {
    double squares = 0;
    for (std::uint64_t t = 0; t < steps; ++t) {
      double y = 0;
      for (const std::uint64_t column : columns) y += t >= column && t - column < c.size() ? c[t - column] : 0;
      squares += y * y;
    }
    return std::sqrt(squares);
  };
  constexpr std::uint64_t kSteps = 11;
  for (const auto& correlation :
       {Correlation{CorrelationKind::kBanded, 4, kSteps}, Correlation{CorrelationKind::kBlt, 3, kSteps}}) {
    const auto c = coefficients(correlation);
    for (const std::uint64_t separation : {1U, 2U, 3U, 5U, 11U}) {
      for (const std::uint64_t most : {1U, 2U, 3U, 11U}) {
        double largest = 0;
        for (std::uint64_t chosen = 1; chosen < 1U << kSteps; ++chosen) {  // every set of steps
          std::vector<std::uint64_t> columns;
          bool allowed = true;
          for (std::uint64_t t = 0; t < kSteps; ++t) {
            if (!(chosen >> t & 1)) continue;
            allowed = allowed && (columns.empty() || t - columns.back() >= separation);
            columns.push_back(t);
          }
          if (allowed && columns.size() <= most) largest = std::max(largest, moved(c, kSteps, columns));
        }
        INFO(separation << " apart, at most " << most);
        CHECK(correlated_sensitivity(MatrixMechanism{1, c, kSteps, most, separation}) == Approx(largest).epsilon(1e-10));
      }
    }
  }
}

TEST_CASE("strategies outside their range are refused by value", "[privacy]") {
  CHECK(checked({CorrelationKind::kBanded, 0, 10}).error().message.find("bands is 0") != std::string::npos);
  CHECK(checked({CorrelationKind::kBlt, 65, 10}).error().message.find("64") != std::string::npos);
  CHECK(checked({CorrelationKind::kIndependent, 1, 10}).error().message.find("left out") != std::string::npos);
  CHECK(checked({CorrelationKind::kBlt, 8, 5000}).error().message.find("4096") != std::string::npos);
  CHECK(checked({CorrelationKind::kBanded, 8, 5000}).ok());
}
