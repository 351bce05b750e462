#include "crypto/key_agreement.h"

#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

std::array<std::uint8_t, 32> array_of(ByteSpan bytes) {
  std::array<std::uint8_t, 32> out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
MaskPublicKey mask_point(std::string_view text) { return MaskPublicKey(array_of(hex(text))); }

TEST_CASE("X25519 gives the values of RFC 7748, section 5.2", "[key_agreement]") {
  struct Case {
    const char* scalar;
    const char* u;
    const char* out;
  };
  const Case cases[] = {{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
                        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"}};
  for (const Case& c : cases) {
    const auto agreed = agree(MaskKey::from(hex(c.scalar)), mask_point(c.u));
    CHECK(to_hex(agreed.value().reveal()) == c.out);
  }
}

TEST_CASE("X25519 iterated a thousand times gives the value of RFC 7748, section 5.2", "[key_agreement]") {
  Bytes k = hex("0900000000000000000000000000000000000000000000000000000000000000");
  Bytes u = k;
  for (int i = 0; i < 1000; ++i) {
    const auto next = agree(MaskKey::from(k), MaskPublicKey(array_of(u)));
    u = k;
    k.assign(next.value().reveal().begin(), next.value().reveal().end());
    if (i == 0) CHECK(to_hex(k) == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
  }
  CHECK(to_hex(k) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST_CASE("both sides of an agreement have the same secret", "[key_agreement]") {
  FixedRandom source(4);
  const auto a = SealKey::random(source);
  const auto b = SealKey::random(source);
  CHECK(agree(a, public_key(b)).value() == agree(b, public_key(a)).value());
  const auto c = SealKey::random(source);
  CHECK_FALSE(agree(a, public_key(b)).value() == agree(a, public_key(c)).value());
}

TEST_CASE("public keys are the reference implementation's", "[key_agreement]") {
  const Json v = vectors("derived.json");
  CHECK(public_key(MaskKey::from(hex_at(v, "mask_key_a"))).value() == array_at<32>(v, "public_a"));
  CHECK(public_key(SealKey::from(hex_at(v, "mask_key_b"))).value() == array_at<32>(v, "public_b"));
}

TEST_CASE("a peer's key of small order is refused and named", "[key_agreement]") {
  // The points whose order divides 8, with their non-canonical encodings: 0, 1, the two of order 8, p - 1, p, p + 1.
  const char* small[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                         "0100000000000000000000000000000000000000000000000000000000000000",
                         "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                         "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                         "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                         "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                         "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
  FixedRandom source(5);
  const auto mine = MaskKey::random(source);
  for (const char* point : small) {
    const auto agreed = agree(mine, mask_point(point));
    REQUIRE_FALSE(agreed.ok());
    CHECK(agreed.error().code == ErrorCode::kProtocol);
    CHECK(agreed.error().message.find(point) != std::string::npos);
  }
}

}  // namespace
}  // namespace sotto::crypto
