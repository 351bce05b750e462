#include "privacy/sampler.h"

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
