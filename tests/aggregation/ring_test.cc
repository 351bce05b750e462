#include "aggregation/ring.h"

#include <limits>

#include "base/json.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::aggregation {
namespace {

Json ring_vectors() { return Json::read_file(std::string(SOTTO_VECTORS) + "/aggregation/ring.json").value(); }

struct RingCase {
  explicit RingCase(const Json& v)
      : ring(Ring::make(
                 {static_cast<std::uint32_t>(v.at("bits").as_int()), v.at("range").as_double(), v.at("step").as_double()}, 1)
                 .value()),
        weight(v.at("weight").as_double()),
        packed(from_hex(v.at("packed").as_string()).value()) {
    for (const Json& x : v.at("update").items()) update.push_back(static_cast<float>(x.as_double()));
    for (const Json& e : v.at("elements").items()) elements.push_back(static_cast<std::uint32_t>(e.as_int()));
  }
  Ring ring;
  double weight;
  Bytes packed;
  std::vector<float> update;
  std::vector<std::uint32_t> elements;
};

TEST_CASE("updates become the integers that NumPy's rint and clip give", "[ring]") {
  const Json all = ring_vectors();
  for (const Json& v : all.items()) {
    const RingCase c(v);
    CHECK(quantize(c.update, c.weight, c.ring) == c.elements);
  }
}

TEST_CASE("elements are packed least significant bit first, and unpacked again", "[ring]") {
  const Json all = ring_vectors();
  for (const Json& v : all.items()) {
    const RingCase c(v);
    CHECK(pack_bits(c.elements, c.ring.bits()) == c.packed);
    CHECK(unpack_bits(c.packed, c.elements.size(), c.ring.bits()).value() == c.elements);
  }
}

TEST_CASE("packing is undone at every width and length", "[ring]") {
  FixedRandom source(1);
  for (std::uint32_t bits = 1; bits <= 32; ++bits) {
    for (std::size_t count = 0; count < 40; ++count) {
      std::vector<std::uint32_t> elements(count);
      for (auto& e : elements) e = static_cast<std::uint32_t>(source.below(std::uint64_t{1} << bits));
      const Bytes packed = pack_bits(elements, bits);
      CHECK(packed.size() == (count * bits + 7) / 8);
      CHECK(unpack_bits(packed, count, bits).value() == elements);
    }
  }
}

TEST_CASE("a packed vector of another size or with bits set after its end is refused", "[ring]") {
  const std::vector<std::uint32_t> elements{1, 2, 3};
  Bytes packed = pack_bits(elements, 5);  // 15 bits: one bit of filling
  CHECK_FALSE(unpack_bits(ByteSpan(packed).first(1), 3, 5).ok());
  CHECK_FALSE(unpack_bits({}, 3, 5).ok());
  CHECK_FALSE(unpack_bits(packed, 2, 5).ok());  // the third element's bits would be filling
  CHECK_FALSE(unpack_bits(packed, 4, 5).ok());
  packed.back() |= 0x80;
  CHECK_FALSE(unpack_bits(packed, 3, 5).ok());
  packed.back() &= 0x7f;
  packed.push_back(0);
  const auto longer = unpack_bits(packed, 3, 5);
  REQUIRE_FALSE(longer.ok());
  CHECK(longer.error().message.find("3 bytes") != std::string::npos);
}

TEST_CASE("an element wider than the ring is not packed", "[ring]") {
  CHECK_THROWS_AS(pack_bits(std::vector<std::uint32_t>{32}, 5), Failure);
}

TEST_CASE("a ring just wide enough is taken, one bit less is refused with the bits that it needs", "[ring]") {
  // 0.25 / 2^-18 = 65,536 steps. Four sites: 262,144 = 2^18 needs 20 bits (up to 2^19 - 1); three sites: 196,608 needs 19.
  const RingPlan plan{20, 0.25, 0x1p-18};
  CHECK(Ring::make(plan, 4).ok());
  CHECK(Ring::make({19, 0.25, 0x1p-18}, 3).ok());
  const auto narrow = Ring::make({19, 0.25, 0x1p-18}, 4);
  REQUIRE_FALSE(narrow.ok());
  CHECK(narrow.error().code == ErrorCode::kInvalid);
  CHECK(narrow.error().message.find("needs 20 bits") != std::string::npos);
}

TEST_CASE("rings with impossible parameters are refused by the field's name", "[ring]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto message = [](const RingPlan& plan) {
    const auto ring = Ring::make(plan, 3);
    REQUIRE_FALSE(ring.ok());
    return ring.error().message;
  };
  CHECK(message({0, 1, 0.1}).find("ring.bits") != std::string::npos);
  CHECK(message({33, 1, 0.1}).find("ring.bits") != std::string::npos);
  CHECK(message({24, 0, 0.1}).find("ring.range") != std::string::npos);
  CHECK(message({24, nan, 0.1}).find("ring.range") != std::string::npos);
  CHECK(message({24, std::numeric_limits<double>::infinity(), 0.1}).find("ring.range") != std::string::npos);
  CHECK(message({24, 1, 0}).find("ring.step") != std::string::npos);
  CHECK(message({24, 1, 2}).find("ring.step") != std::string::npos);
  CHECK(message({24, 1, nan}).find("ring.step") != std::string::npos);
  CHECK(message({32, 1e300, 1e-300}).find("ring.range / ring.step") != std::string::npos);
  CHECK_FALSE(Ring::make({24, 1, 0.1}, 0).ok());
}

TEST_CASE("the largest and smallest possible sums lift to their values without a wrap", "[ring]") {
  for (const std::uint32_t bits : {19u, 20u, 32u}) {
    const std::uint32_t sites = bits == 19 ? 3 : 4;
    const auto ring = Ring::make({bits, 0.25, 0x1p-18}, sites).value();
    const std::vector<float> extreme{0.25f, -0.25f, 10.0f, -10.0f};
    std::vector<std::uint32_t> sum(extreme.size());
    for (std::uint32_t i = 0; i < sites; ++i) {
      const auto x = quantize(extreme, 1.0, ring);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] = (sum[k] + x[k]) & ring.mask();
    }
    const auto steps = static_cast<std::int32_t>(sites * 65536);
    CHECK(lift(sum[0], ring) == steps);
    CHECK(lift(sum[1], ring) == -steps);
    CHECK(dequantize_mean(sum, sites, ring) == std::vector<float>{0.25f, -0.25f, 0.25f, -0.25f});
  }
}

TEST_CASE("the mean of sums is the weighted mean of the updates, up to half a step for each site", "[ring]") {
  FixedRandom source(2);
  std::vector<SitePlan> sites(3);
  sites[0].weight = 1400;
  sites[1].weight = 1000;
  sites[2].weight = 1300;
  const auto weights = relative_weights(sites);
  CHECK(weights == std::vector<double>{1.0, 1000.0 / 1400.0, 1300.0 / 1400.0});
  const auto ring = Ring::make({24, 0.25, 0x1p-18}, 3).value();
  std::vector<std::uint32_t> sum(500);
  std::vector<double> expected(500);
  double total = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    std::vector<float> update(500);
    for (auto& u : update) u = (static_cast<float>(source.below(1000)) - 500.0f) / 2500.0f;
    const auto x = quantize(update, weights[i], ring);
    total += weights[i];
    for (std::size_t k = 0; k < sum.size(); ++k) {
      sum[k] = (sum[k] + x[k]) & ring.mask();
      expected[k] += weights[i] * static_cast<double>(update[k]);
    }
  }
  const auto mean = dequantize_mean(sum, total, ring);
  for (std::size_t k = 0; k < sum.size(); ++k) {
    CHECK(std::abs(static_cast<double>(mean[k]) - expected[k] / total) <= 1.5 * ring.step() / total + 1e-8);
  }
}

TEST_CASE("what is not a number counts as zero, and infinities as the range's ends", "[ring]") {
  const auto ring = Ring::make({24, 0.25, 0x1p-18}, 3).value();
  const float inf = std::numeric_limits<float>::infinity();
  const auto x = quantize(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), inf, -inf}, 0.5, ring);
  CHECK(x[0] == 0);
  CHECK(lift(x[1], ring) == 65536);
  CHECK(lift(x[2], ring) == -65536);
}

TEST_CASE("weights must be above zero and at most one, and totals positive", "[ring]") {
  const auto ring = Ring::make({24, 0.25, 0x1p-18}, 3).value();
  CHECK_THROWS_AS(quantize({}, 0, ring), Failure);
  CHECK_THROWS_AS(quantize({}, 1.5, ring), Failure);
  CHECK_THROWS_AS(quantize({}, std::numeric_limits<double>::quiet_NaN(), ring), Failure);
  CHECK_THROWS_AS(dequantize_mean({}, 0, ring), Failure);
  CHECK_THROWS_AS(lift(1u << 24, ring), Failure);
}

}  // namespace
}  // namespace sotto::aggregation
