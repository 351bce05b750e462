#include "crypto/secret.h"

#include <ostream>
#include <type_traits>

#include "crypto/aead.h"
#include "crypto/key_agreement.h"
#include "crypto/mask.h"
#include "crypto/stream_random.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

template <class Key>
concept Seals =
    requires(const Key& key, RandomSource& source) { seal(key, ByteSpan{}, AssociatedData(ByteSpan{}), source); };
template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };
template <class Key, class PublicKey>
concept Agrees = requires(const Key& key, const PublicKey& peer) { agree(key, peer); };
template <class Key>
concept Masks = requires(Key&& key) { add_mask(std::span<std::uint32_t>{}, std::forward<Key>(key), 32u); };

// What must not compile.
static_assert(Seals<AeadKey> && !Seals<MaskSeed> && !Seals<SigningKey> && !Seals<Secret<32>>);
static_assert(Agrees<MaskKey, MaskPublicKey> && !Agrees<MaskKey, SealPublicKey> && !Agrees<SealKey, MaskPublicKey>);
static_assert(Masks<MaskStreamKey> && !Masks<MaskStreamKey&> && !Masks<MaskSeed>);  // a stream key is given up when used
static_assert(!std::is_copy_constructible_v<AeadKey> && !std::is_copy_assignable_v<AeadKey>);
static_assert(!std::is_copy_constructible_v<SecretBuffer> && !std::is_default_constructible_v<AeadKey>);
static_assert(std::is_nothrow_move_constructible_v<AeadKey> && std::is_nothrow_move_assignable_v<AeadKey>);
static_assert(std::is_constructible_v<AeadKey, Secret<32>&&> && !std::is_convertible_v<Secret<32>&&, AeadKey>);
static_assert(!std::is_constructible_v<AeadKey, MaskSeed&&> && !std::is_constructible_v<Secret<32>, MaskSeed&&>);
static_assert(!Printable<AeadKey> && !Printable<SecretBuffer>);

TEST_CASE("a secret is moved, not copied, and the old place is wiped", "[secret]") {
  FixedRandom source(1);
  auto first = MaskSeed::random(source);
  const Bytes bytes(first.reveal().begin(), first.reveal().end());
  const std::uint8_t* place = first.reveal().data();
  const MaskSeed second = std::move(first);
  CHECK(std::equal(bytes.begin(), bytes.end(), second.reveal().begin()));
  CHECK(std::all_of(place, place + 32, [](std::uint8_t b) { return b == 0; }));
  CHECK_THROWS_AS(first.reveal(), Failure);
}

TEST_CASE("a secret's memory is zero after its destruction", "[secret]") {
  alignas(AeadKey) std::array<std::uint8_t, sizeof(AeadKey)> memory{};
  FixedRandom source(2);
  auto* key = new (memory.data()) AeadKey(AeadKey::random(source));
  REQUIRE_FALSE(std::all_of(memory.begin(), memory.begin() + 32, [](std::uint8_t b) { return b == 0; }));
  key->~AeadKey();
  CHECK(std::all_of(memory.begin(), memory.begin() + 32, [](std::uint8_t b) { return b == 0; }));
}

TEST_CASE("naming key material takes it away from its unnamed owner", "[secret]") {
  FixedRandom source(3);
  auto material = Secret<32>::random(source);
  const Bytes bytes(material.reveal().begin(), material.reveal().end());
  const AeadKey key(std::move(material));
  CHECK(key == AeadKey::from(bytes));
  CHECK_THROWS_AS(material.reveal(), Failure);
}

TEST_CASE("secrets are equal exactly when all bytes are", "[secret]") {
  Bytes bytes(32, 7);
  const auto key = AeadKey::from(bytes);
  CHECK(key == AeadKey::from(bytes));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= 0x80;
    CHECK_FALSE(key == AeadKey::from(bytes));
    bytes[i] ^= 0x80;
  }
  CHECK_FALSE(equal_in_constant_time(bytes, ByteSpan(bytes).first(31)));
  CHECK(equal_in_constant_time({}, {}));
}

TEST_CASE("a secret of another size is refused", "[secret]") {
  CHECK_THROWS_AS(AeadKey::from(Bytes(31)), Failure);
  CHECK_THROWS_AS(AeadKey::from(Bytes(33)), Failure);
}

}  // namespace
}  // namespace sotto::crypto
