#include "privacy/mechanism/units.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {
const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("not a number is refused as any quantity of a guarantee", "[privacy]") {
  CHECK_THROWS_AS(Epsilon(kNan), Failure);
  CHECK_THROWS_AS(Delta(kNan), Failure);
  CHECK_THROWS_AS(ClipNorm(kNan), Failure);
  CHECK_THROWS_AS(NoiseMultiplier(kNan), Failure);
  CHECK_THROWS_AS(SamplingRate(kNan), Failure);
  CHECK_FALSE(Epsilon::make(kNan).ok());
  CHECK_FALSE(Delta::make(kNan).ok());
  CHECK_FALSE(ClipNorm::make(kNan).ok());
  CHECK_FALSE(NoiseMultiplier::make(kNan).ok());
  CHECK_FALSE(SamplingRate::make(kNan).ok());
}

TEST_CASE("each quantity has its range, and the message names the value", "[privacy]") {
  CHECK(Epsilon(0).value() == 0);
  CHECK_FALSE(Epsilon::make(-1e-300).ok());
  CHECK_FALSE(Epsilon::make(kInf).ok());
  CHECK(Delta::make(1e-300).ok());
  CHECK_FALSE(Delta::make(0).ok());
  CHECK_FALSE(Delta::make(1).ok());
  CHECK_FALSE(ClipNorm::make(0).ok());
  CHECK_FALSE(ClipNorm::make(-1).ok());
  CHECK_FALSE(NoiseMultiplier::make(0).ok());
  CHECK_FALSE(NoiseMultiplier::make(kInf).ok());
  CHECK_FALSE(SamplingRate::make(0).ok());
  CHECK_FALSE(SamplingRate::make(1 + 1e-15).ok());
  CHECK_FALSE(SamplingRate::make(0x1p-65).ok());
  CHECK(Delta::make(1.5).error().message.find("delta is 1.5") != std::string::npos);
}

TEST_CASE("a sampling rate is the multiple of 2^-64 at or below the number given", "[privacy]") {
  CHECK(SamplingRate(1).always());
  CHECK_THROWS_AS(SamplingRate(1).threshold(), Failure);
  CHECK(SamplingRate(0.5).threshold() == std::uint64_t{1} << 63);
  CHECK(SamplingRate(0x1p-64).threshold() == 1);
  CHECK(SamplingRate(24.0 / 1400).value() == 24.0 / 1400);
  const SamplingRate tiny(1e-7 / 3);
  CHECK(tiny.value() <= 1e-7 / 3);
  CHECK(tiny.value() > 1e-7 / 3 - 0x1p-64);
  CHECK(std::ldexp(static_cast<double>(tiny.threshold()), -64) == tiny.value());
}

TEST_CASE("the expected batch is the rate times the declared size", "[privacy]") {
  CHECK(ExpectedBatch(SamplingRate(0.25), 1000).value() == 250);
  CHECK_THROWS_AS(ExpectedBatch(SamplingRate(0.25), 0), Failure);
}

TEST_CASE("units have names, and an unknown one is refused by name", "[privacy]") {
  for (const Unit unit : {Unit::kPatient, Unit::kRecord})
    CHECK(from_string<Unit>("privacy unit", to_string(unit)).value() == unit);
  const auto site = from_string<Unit>("privacy unit", "site");
  CHECK(site.error().code == ErrorCode::kUnsupported);
  CHECK(site.error().message.find("\"site\"") != std::string::npos);
}
