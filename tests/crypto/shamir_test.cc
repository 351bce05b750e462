#include "crypto/shamir.h"

#include <bit>

#include "crypto/hash.h"
#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

// Gives out the bytes it was made with.
class ScriptedRandom final : public RandomSource {
 public:
  explicit ScriptedRandom(Bytes script) : script_(std::move(script)) {}
  void fill(std::span<std::uint8_t> out) override {
    SOTTO_CHECK(out.size() <= script_.size() - used_);
    std::copy_n(script_.begin() + static_cast<std::ptrdiff_t>(used_), out.size(), out.begin());
    used_ += out.size();
  }

 private:
  Bytes script_;
  std::size_t used_ = 0;
};

Share copy_of(const Share& share) { return {share.point, ShareValue::from(share.value.reveal())}; }

std::vector<Share> chosen(const std::vector<Share>& shares, unsigned subset) {
  std::vector<Share> out;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (subset >> i & 1u) out.push_back(copy_of(shares[i]));
  }
  return out;
}

TEST_CASE("field products are those of FIPS 197, section 4.2", "[shamir]") {
  // With secret 0 and one coefficient 57, the share at point x is 57 * x.
  ScriptedRandom source(Bytes(32, 0x57));
  const auto shares = split(Secret<32>::from(Bytes(32, 0)).reveal(), 2, 255, source);
  CHECK(shares[0x83 - 1].value == ShareValue::from(Bytes(32, 0xc1)));
  CHECK(shares[0x13 - 1].value == ShareValue::from(Bytes(32, 0xfe)));
  CHECK(shares[0x02 - 1].value == ShareValue::from(Bytes(32, 0xae)));
}

TEST_CASE("shares are those of an independent implementation with logarithm tables", "[shamir]") {
  const Json v = vectors("derived.json").at("shamir");
  Bytes script;
  for (const Json& c : v.at("coefficients").items()) {
    const Bytes bytes = hex(c.as_string());
    script.insert(script.end(), bytes.begin(), bytes.end());
  }
  ScriptedRandom source(script);
  const auto shares = split(Secret<32>::from(hex_at(v, "secret")).reveal(), 3, 255, source);
  for (std::size_t i = 0; i < v.at("shares").items().size(); ++i) {
    CHECK(shares[i].point == i + 1);
    CHECK(equal(shares[i].value.reveal(), hex(v.at("shares").at(i).as_string())));
  }
  CHECK(equal(shares[254].value.reveal(), hex_at(v, "share_255")));
  CHECK(share_hash(shares[0], as_bytes("context")) == digest_at(v, "share_1_hash"));
}

TEST_CASE("every subset of at least t shares rebuilds the secret, for all t <= n <= 7", "[shamir]") {
  FixedRandom source(13);
  for (std::uint32_t n = 2; n <= 7; ++n) {
    for (std::uint32_t t = 2; t <= n; ++t) {
      const auto secret = Secret<32>::random(source);
      const auto shares = split(secret.reveal(), t, n, source);
      for (unsigned subset = 0; subset < 1u << n; ++subset) {
        const auto rebuilt = combine(chosen(shares, subset), t);
        if (std::popcount(subset) >= static_cast<int>(t)) {
          CHECK(rebuilt.value() == secret);
        } else {
          REQUIRE_FALSE(rebuilt.ok());
          CHECK(rebuilt.error().code == ErrorCode::kProtocol);
        }
      }
    }
  }
}

TEST_CASE("the largest cohort's shares rebuild from the last and from mixed points", "[shamir]") {
  FixedRandom source(14);
  const auto secret = Secret<32>::random(source);
  const auto shares = split(secret.reveal(), 85, 128, source);  // n = 128, c = 42
  std::vector<Share> last;
  std::vector<Share> mixed;
  for (std::size_t i = 0; i < 85; ++i) last.push_back(copy_of(shares[127 - i]));
  for (std::size_t i = 0; i < 85; ++i) mixed.push_back(copy_of(shares[i * 37 % 128]));
  CHECK(combine(last, 85).value() == secret);
  CHECK(combine(mixed, 85).value() == secret);
}

TEST_CASE("t - 1 shares fit every secret equally well", "[shamir]") {
  // For any t - 1 shares and any candidate for the secret there is exactly one share at a further point that completes them
  // to that candidate. Shown for one byte, all 256 candidates, t = 3: fix two shares, run through the third's byte.
  FixedRandom source(15);
  const auto secret = Secret<32>::random(source);
  const auto shares = split(secret.reveal(), 3, 5, source);
  std::array<int, 256> reached{};
  for (int byte = 0; byte < 256; ++byte) {
    std::vector<Share> guess = chosen(shares, 0b00011);
    guess.push_back({3, ShareValue::from(Bytes(32, static_cast<std::uint8_t>(byte)))});
    ++reached[combine(guess, 3).value().reveal()[0]];
  }
  CHECK(std::all_of(reached.begin(), reached.end(), [](int count) { return count == 1; }));
}

TEST_CASE("a single share is uniform whatever the secret", "[shamir]") {
  // 2,000 splits of one constant secret, 64,000 share bytes: chi-square over 256 cells, 255 degrees of freedom, stddev 22.6.
  // Below 255 + 6 * 22.6 = 390.5; false alarm about 1e-7, and the source is fixed.
  FixedRandom source(16);
  const auto secret = Secret<32>::from(Bytes(32, 0xff));
  std::array<double, 256> cells{};
  for (int i = 0; i < 2000; ++i) {
    const auto shares = split(secret.reveal(), 2, 3, source);
    for (const std::uint8_t byte : shares[1].value.reveal()) cells[byte] += 1;
  }
  double chi_square = 0;
  for (const double count : cells) chi_square += (count - 250) * (count - 250) / 250;
  CHECK(chi_square < 390.5);
}

TEST_CASE("a flipped share rebuilds another secret and is named by its hash, and t others still work", "[shamir]") {
  FixedRandom source(17);
  const auto secret = Secret<32>::random(source);
  auto shares = split(secret.reveal(), 3, 4, source);
  const Bytes context{1, 2, 3};
  const Digest promised = share_hash(shares[0], context);
  Bytes flipped(shares[0].value.reveal().begin(), shares[0].value.reveal().end());
  flipped[5] ^= 4;
  shares[0].value = ShareValue::from(flipped);
  CHECK(share_hash(shares[0], context) != promised);
  CHECK_FALSE(combine(chosen(shares, 0b0111), 3).value() == secret);
  CHECK(combine(chosen(shares, 0b1110), 3).value() == secret);
}

TEST_CASE("a share's hash depends on context, point and value", "[shamir]") {
  FixedRandom source(18);
  const auto shares = split(Secret<32>::random(source).reveal(), 2, 2, source);
  const Digest own = share_hash(shares[0], as_bytes("a"));
  CHECK(own != share_hash(shares[0], as_bytes("b")));
  CHECK(own != share_hash(shares[1], as_bytes("a")));
  Share elsewhere = copy_of(shares[0]);
  elsewhere.point = 2;
  CHECK(own != share_hash(elsewhere, as_bytes("a")));
}

TEST_CASE("a share at point 0 and a point that comes twice are refused", "[shamir]") {
  FixedRandom source(19);
  const auto shares = split(Secret<32>::random(source).reveal(), 2, 3, source);
  auto twice = chosen(shares, 0b001);
  twice.push_back(copy_of(shares[0]));
  const auto repeated = combine(twice, 2);
  REQUIRE_FALSE(repeated.ok());
  CHECK(repeated.error().message.find("point 1") != std::string::npos);
  auto zero = chosen(shares, 0b011);
  zero[0].point = 0;
  CHECK_FALSE(combine(zero, 2).ok());
}

TEST_CASE("thresholds and counts outside of what the field allows are refused", "[shamir]") {
  FixedRandom source(20);
  const auto secret = Secret<32>::random(source);
  CHECK_THROWS_AS(split(secret.reveal(), 1, 3, source), Failure);
  CHECK_THROWS_AS(split(secret.reveal(), 4, 3, source), Failure);
  CHECK_THROWS_AS(split(secret.reveal(), 2, 256, source), Failure);
}

}  // namespace
}  // namespace sotto::crypto
