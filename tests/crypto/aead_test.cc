#include "crypto/aead.h"

#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

Bytes joined(const Bytes& nonce, const Bytes& ciphertext, const Bytes& tag) {
  return ByteWriter().raw(nonce).raw(ciphertext).raw(tag).take();
}

TEST_CASE("AES-256-GCM opens what NIST's vectors open and refuses what they refuse", "[aead]") {
  int opened = 0;
  int refused = 0;
  const Json all = vectors("aes_256_gcm_decrypt.json");
  for (const Json& v : all.items()) {
    const auto plaintext =
        open(AeadKey::from(hex_at(v, "key")), joined(hex_at(v, "iv"), hex_at(v, "ciphertext"), hex_at(v, "tag")),
             AssociatedData(hex_at(v, "aad")));
    if (v.find("fail")) {
      CHECK_FALSE(plaintext.ok());
      ++refused;
    } else {
      CHECK(equal(plaintext.value().reveal(), hex_at(v, "plaintext")));
      ++opened;
    }
  }
  CHECK(opened >= 30);
  CHECK(refused >= 30);
}

TEST_CASE("what was sealed opens, at any length", "[aead]") {
  FixedRandom source(6);
  const auto key = AeadKey::random(source);
  const Bytes purpose{1, 2, 3};
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17}, std::size_t{100'000}}) {
    Bytes plaintext(size);
    source.fill(plaintext);
    const Bytes sealed = seal(key, plaintext, AssociatedData(purpose), source);
    CHECK(sealed.size() == size + kAeadOverhead);
    CHECK(equal(open(key, sealed, AssociatedData(purpose)).value().reveal(), plaintext));
  }
}

TEST_CASE("a flipped bit anywhere, another key, another purpose and a cut message do not open", "[aead]") {
  FixedRandom source(7);
  const auto key = AeadKey::random(source);
  const Bytes purpose{1, 2, 3};
  const Bytes plaintext{9, 8, 7, 6, 5};
  Bytes sealed = seal(key, plaintext, AssociatedData(purpose), source);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    sealed[i] ^= 1;
    const auto opened = open(key, sealed, AssociatedData(purpose));
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::kProtocol);
    sealed[i] ^= 1;
  }
  const Bytes other_purpose{1, 2, 4};
  CHECK_FALSE(open(key, sealed, AssociatedData(other_purpose)).ok());
  CHECK_FALSE(open(AeadKey::random(source), sealed, AssociatedData(purpose)).ok());
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    CHECK_FALSE(open(key, ByteSpan(sealed).first(size), AssociatedData(purpose)).ok());
  }
  CHECK(open(key, sealed, AssociatedData(purpose)).ok());
}

TEST_CASE("sealing twice takes two nonces", "[aead]") {
  FixedRandom source(8);
  const auto key = AeadKey::random(source);
  const Bytes purpose{1};
  const Bytes a = seal(key, Bytes{1, 2}, AssociatedData(purpose), source);
  const Bytes b = seal(key, Bytes{1, 2}, AssociatedData(purpose), source);
  CHECK_FALSE(equal(ByteSpan(a).first(kAeadNonceSize), ByteSpan(b).first(kAeadNonceSize)));
}

TEST_CASE("associated data may not be left out", "[aead]") { CHECK_THROWS_AS(AssociatedData(ByteSpan{}), Failure); }

}  // namespace
}  // namespace sotto::crypto
