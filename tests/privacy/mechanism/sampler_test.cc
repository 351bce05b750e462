#include "privacy/mechanism/sampler.h"

#include <cmath>
#include <cstring>
#include <map>
#include <type_traits>

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

// Gives the listed 64-bit words, in order.
class Script final : public RandomSource {
 public:
  explicit Script(std::vector<std::uint64_t> words) : words_(std::move(words)) {}
  void fill(std::span<std::uint8_t> out) override {
    REQUIRE(out.size() == 8);
    REQUIRE(next_ < words_.size());
    std::memcpy(out.data(), &words_[next_++], 8);
  }
  std::size_t used() const { return next_; }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t next_ = 0;
};

}  // namespace

TEST_CASE("a unit takes part exactly when its 64 bits are below the rate times 2^64", "[privacy]") {
  const SamplingRate rate(24.0 / 1400);
  Script random({rate.threshold() - 1, rate.threshold(), 0, ~std::uint64_t{0}});
  const std::vector<std::uint32_t> records(4, 1);
  const SampledUnits drawn = SampledUnits::draw(Unit::kRecord, records, rate, 1, random);
  CHECK(random.used() == 4);
  CHECK(drawn.units() == std::vector<DrawnUnit>{{0, {0}}, {2, {0}}});
}

TEST_CASE("an empty batch is a batch, and so is an empty population", "[privacy]") {
  Script random({~std::uint64_t{0}, ~std::uint64_t{0}});
  const std::vector<std::uint32_t> records(2, 3);
  CHECK(SampledUnits::draw(Unit::kPatient, records, SamplingRate(0.5), 1, random).units().empty());
  CHECK(SampledUnits::draw(Unit::kPatient, {}, SamplingRate(0.5), 1, random).units().empty());
}

TEST_CASE("rate 1 takes every unit", "[privacy]") {
  Script random({});
  const std::vector<std::uint32_t> records = {1, 0, 2};
  const SampledUnits drawn = SampledUnits::draw(Unit::kPatient, records, SamplingRate(1), 4, random);
  CHECK(drawn.units() == std::vector<DrawnUnit>{{0, {0}}, {1, {}}, {2, {0, 1}}});
}

TEST_CASE("the draw says the unit and the rate that ran", "[privacy]") {
  FixedRandom random(1);
  const SampledUnits drawn = SampledUnits::draw(Unit::kPatient, {}, SamplingRate(0.125), 1, random);
  CHECK(drawn.event().unit() == Unit::kPatient);
  CHECK(drawn.event().rate() == SamplingRate(0.125));
}

TEST_CASE("a draw cannot be copied, and its event cannot be made by hand", "[privacy]") {
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<SampledUnits>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<SamplingEvent, Unit, SamplingRate>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<SamplingEvent>);
}

// False-alarm rate of the test below for a random seed: |z| > 5, 5.8e-7.
TEST_CASE("the number of units drawn has the binomial's mean", "[privacy]") {
  FixedRandom random(2);
  const double q = 24.0 / 1400;
  const std::vector<std::uint32_t> records(400000, 1);
  const double n = static_cast<double>(records.size());
  const auto drawn =
      static_cast<double>(SampledUnits::draw(Unit::kRecord, records, SamplingRate(q), 1, random).units().size());
  CHECK(std::abs(drawn - n * q) / std::sqrt(n * q * (1 - q)) < 5);
}

// Chi-square with 9 degrees of freedom; above 45 with probability 9e-7.
TEST_CASE("of a unit's records every subset of the wanted size is equally likely", "[privacy]") {
  FixedRandom random(3);
  const std::vector<std::uint32_t> records(20000, 5);
  std::map<std::vector<std::uint32_t>, double> counts;
  const SampledUnits drawn = SampledUnits::draw(Unit::kPatient, records, SamplingRate(1), 2, random);
  for (const DrawnUnit& unit : drawn.units()) counts[unit.records] += 1;
  REQUIRE(counts.size() == 10);
  double chi_square = 0;
  for (const auto& [subset, count] : counts) chi_square += (count - 2000) * (count - 2000) / 2000;
  CHECK(chi_square < 45);
}

TEST_CASE("a draw without records to take, or with several records a record unit, is a broken invariant", "[privacy]") {
  FixedRandom random(4);
  const std::vector<std::uint32_t> records = {2};
  CHECK_THROWS_AS(SampledUnits::draw(Unit::kPatient, records, SamplingRate(1), 0, random), Failure);
  CHECK_THROWS_AS(SampledUnits::draw(Unit::kRecord, records, SamplingRate(1), 1, random), Failure);
}

TEST_CASE("a truncated draw never exceeds its bound, keeps the whole of a smaller one, and says what ran", "[privacy]") {
  const std::vector<std::uint32_t> records(40, 1);
  const Population from{Unit::kRecord, records, 1};
  FixedRandom random(21);
  for (int trial = 0; trial < 200; ++trial) {
    const SampledUnits drawn = SampledUnits::draw_truncated(from, {SamplingRate(0.5), 18, 50}, random);
    CHECK(drawn.units().size() <= 18);
  }
  const SampledUnits all = SampledUnits::draw_truncated(from, {SamplingRate(1), 40, 50}, random);
  CHECK(all.units().size() == 40);
  const DpEvent& event = all.event().event();
  CHECK(event.sampling == SamplingKind::kTruncatedPoisson);
  CHECK(event.sampling_rate == SamplingRate(1));
  CHECK(event.batch_size == 40);
  CHECK(event.population == 50);
  CHECK_THROWS_AS(SampledUnits::draw_truncated(from, {SamplingRate(0.5), 18, 39}, random), Failure);
}

// Of 20 units with rate 1 and bound 5, each stays with probability 1/4: 4,000 draws, 5 standard deviations are 137.
TEST_CASE("surplus units of a truncated draw are dropped uniformly", "[privacy]") {
  const std::vector<std::uint32_t> records(20, 1);
  FixedRandom random(22);
  std::vector<int> seen(20);
  for (int trial = 0; trial < 4000; ++trial) {
    const SampledUnits drawn = SampledUnits::draw_truncated({Unit::kRecord, records, 1}, {SamplingRate(1), 5, 20}, random);
    for (const auto& unit : drawn.units()) ++seen[unit.unit];
  }
  for (const int count : seen) CHECK(std::abs(count - 1000) < 137);
}

// 10 pairs of 5 units, 5,000 draws of 2: each pair 500 times, 5 standard deviations are 106.
TEST_CASE("a draw of fixed size has that size, and every subset is equally likely", "[privacy]") {
  const std::vector<std::uint32_t> records(5, 2);
  FixedRandom random(23);
  std::map<std::pair<std::uint32_t, std::uint32_t>, int> seen;
  for (int trial = 0; trial < 5000; ++trial) {
    const SampledUnits drawn = SampledUnits::draw_fixed_size({Unit::kPatient, records, 1}, 2, random);
    REQUIRE(drawn.units().size() == 2);
    CHECK(drawn.event().event().sampling == SamplingKind::kFixedSize);
    CHECK(drawn.event().event().population == 5);
    CHECK(drawn.event().event().batch_size == 2);
    ++seen[{drawn.units()[0].unit, drawn.units()[1].unit}];
  }
  CHECK(seen.size() == 10);
  for (const auto& [pair, count] : seen) CHECK(std::abs(count - 500) < 106);
}

TEST_CASE("in an epoch of random allocation every unit takes part exactly once", "[privacy]") {
  const std::vector<std::uint32_t> records(97, 1);
  FixedRandom random(24);
  std::vector<int> seen(97);
  for (std::uint64_t step = 1; step <= 8; ++step) {
    const SampledUnits drawn = SampledUnits::draw_allocated({Unit::kRecord, records, 1}, {8, step}, fixed_slots(25), random);
    CHECK(drawn.event().event().epoch_steps == 8);
    CHECK(drawn.event().event().epoch_step == step);
    for (const auto& unit : drawn.units()) ++seen[unit.unit];
  }
  CHECK(seen == std::vector<int>(97, 1));
}

// 40,000 units over 8 steps: chi-square with 7 degrees of freedom is above 46 with probability 9e-8. Neighbouring units'
// steps: 64 pairs, 63 degrees, above 143 with probability 4e-8.
TEST_CASE("each step of an epoch is equally likely for a unit, whatever its neighbour's", "[privacy]") {
  const std::vector<std::uint32_t> records(40000, 1);
  FixedRandom random(26);
  std::vector<std::uint64_t> step_of(records.size());
  for (std::uint64_t step = 1; step <= 8; ++step) {
    const SampledUnits drawn = SampledUnits::draw_allocated({Unit::kRecord, records, 1}, {8, step}, fixed_slots(27), random);
    for (const auto& unit : drawn.units()) step_of[unit.unit] = step - 1;
  }
  std::vector<double> steps(8), pairs(64);
  for (std::size_t u = 0; u < step_of.size(); ++u) {
    steps[step_of[u]] += 1;
    if (u % 2 == 0) pairs[step_of[u] * 8 + step_of[u + 1]] += 1;
  }
  const auto chi_square = [](const std::vector<double>& counts, double expected) {
    double sum = 0;
    for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
    return sum;
  };
  CHECK(chi_square(steps, 5000) < 46);
  CHECK(chi_square(pairs, 20000.0 / 64) < 143);
}
