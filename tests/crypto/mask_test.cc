#include "crypto/mask.h"

#include <numeric>

#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "tests/crypto/vectors.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::crypto {
namespace {

struct Reference {
  Json v = vectors("derived.json");
  MaskContext context{digest_at(v, "ctx"), digest_at(v, "u1")};
  SiteIndex a{2};
  SiteIndex b{10};
  MaskKey key_a = MaskKey::from(hex_at(v, "mask_key_a"));
  MaskKey key_b = MaskKey::from(hex_at(v, "mask_key_b"));
  MaskSeed seed_a = MaskSeed::from(hex_at(v, "seed_a"));

  MaskStreamKey pair_key() const { return derive_pair_mask_key(agree(key_a, public_key(key_b)).value(), context, a, b); }
};

Digest hash_of_words(std::span<const std::uint32_t> words) {
  ByteWriter out;
  for (const std::uint32_t word : words) out.u32(word);
  return sha256(out.view());
}

TEST_CASE("mask keys and the commitment are those of the reference", "[mask]") {
  const Reference r;
  CHECK(equal(r.pair_key().reveal(), hex_at(r.v, "pair_key")));
  CHECK(equal(derive_self_mask_key(r.seed_a, r.context, r.a).reveal(), hex_at(r.v, "self_key_a")));
  CHECK(commit(r.seed_a) == digest_at(r.v, "commitment_a"));
}

TEST_CASE("both sites of a pair have one key, whoever is named first", "[mask]") {
  const Reference r;
  const auto agreement = agree(r.key_b, public_key(r.key_a)).value();
  CHECK(derive_pair_mask_key(agreement, r.context, r.a, r.b) == r.pair_key());
  CHECK(derive_pair_mask_key(agreement, r.context, r.b, r.a) == r.pair_key());
  CHECK_THROWS_AS(derive_pair_mask_key(agreement, r.context, r.a, r.a), Failure);
}

TEST_CASE("a mask's words are little-endian words of the key's AES-256-CTR stream, low bits kept", "[mask]") {
  const Reference r;
  for (const std::uint32_t bits : {20u, 32u}) {
    const std::string name = "pair_mask_" + std::to_string(bits);
    std::vector<std::uint32_t> mask(static_cast<std::size_t>(r.v.at("words").as_int()));  // more than two tiles and a rest
    add_mask(mask, r.pair_key(), bits);
    for (std::size_t k = 0; k < 4; ++k) {
      CHECK(mask[k] == r.v.at(name + "_first").at(k).as_int());
      CHECK(mask[mask.size() - 4 + k] == r.v.at(name + "_last").at(k).as_int());
    }
    CHECK(hash_of_words(mask) == digest_at(r.v, name + "_sha256"));
  }
}

TEST_CASE("another descriptor, set, pair or purpose gives another key", "[mask]") {
  const Reference r;
  const auto agreement = agree(r.key_a, public_key(r.key_b)).value();
  MaskContext other_ctx = r.context;
  other_ctx.ctx[0] ^= 1;
  MaskContext other_u1 = r.context;
  other_u1.u1[31] ^= 1;
  CHECK_FALSE(derive_pair_mask_key(agreement, other_ctx, r.a, r.b) == r.pair_key());
  CHECK_FALSE(derive_pair_mask_key(agreement, other_u1, r.a, r.b) == r.pair_key());
  CHECK_FALSE(derive_pair_mask_key(agreement, r.context, r.a, SiteIndex(11)) == r.pair_key());
  const auto self = [&](const MaskContext& context, SiteIndex site) {
    return derive_self_mask_key(r.seed_a, context, site);
  };
  CHECK_FALSE(self(other_ctx, r.a) == self(r.context, r.a));
  CHECK_FALSE(self(other_u1, r.a) == self(r.context, r.a));
  CHECK_FALSE(self(r.context, r.b) == self(r.context, r.a));
  const auto same_bytes = MaskAgreement::from(r.seed_a.reveal());
  CHECK_FALSE(derive_pair_mask_key(same_bytes, r.context, r.a, r.b) == self(r.context, r.a));
}

TEST_CASE("a mask subtracted again leaves the values, at every ring size", "[mask]") {
  FixedRandom source(21);
  for (std::uint32_t bits = 1; bits <= 32; ++bits) {
    const std::uint64_t modulus = std::uint64_t{1} << bits;
    std::vector<std::uint32_t> values(5000);
    for (auto& value : values) value = static_cast<std::uint32_t>(source.below(modulus));
    std::vector<std::uint32_t> masked = values;
    const Bytes key(32, static_cast<std::uint8_t>(bits));
    add_mask(masked, MaskStreamKey::from(key), bits);
    CHECK(masked != values);
    CHECK(std::all_of(masked.begin(), masked.end(), [&](std::uint32_t m) { return m < modulus; }));
    subtract_mask(masked, MaskStreamKey::from(key), bits);
    CHECK(masked == values);
  }
}

TEST_CASE("a stream key is gone once it was used", "[mask]") {
  auto key = MaskStreamKey::from(Bytes(32, 1));
  std::vector<std::uint32_t> values(3);
  add_mask(values, std::move(key), 32);
  CHECK_THROWS_AS(key.reveal(), Failure);
  CHECK_THROWS_AS(add_mask(values, std::move(key), 32), Failure);
}

TEST_CASE("rings of no bits and of more than 32 are refused", "[mask]") {
  std::vector<std::uint32_t> values(3);
  CHECK_THROWS_AS(add_mask(values, MaskStreamKey::from(Bytes(32)), 0), Failure);
  CHECK_THROWS_AS(subtract_mask(values, MaskStreamKey::from(Bytes(32)), 33), Failure);
}

TEST_CASE("pair masks of all sites cancel in the sum, and a left-over one can be removed", "[mask]") {
  constexpr std::uint32_t kSites = 5;
  constexpr std::uint32_t kBits = 22;
  constexpr std::uint32_t kDropped = 2;
  FixedRandom source(22);
  std::vector<MaskKey> keys;
  for (std::uint32_t i = 0; i < kSites; ++i) keys.push_back(MaskKey::random(source));
  const MaskContext context{sha256(as_bytes("d")), sha256(as_bytes("u1"))};
  const auto pair_key = [&](std::uint32_t i, std::uint32_t j) {
    return derive_pair_mask_key(agree(keys[i], public_key(keys[j])).value(), context, SiteIndex(i), SiteIndex(j));
  };
  std::vector<std::uint32_t> all(100);
  std::vector<std::uint32_t> without_dropped(100);
  for (std::uint32_t i = 0; i < kSites; ++i) {
    std::vector<std::uint32_t> masked(100, i + 1);
    for (std::uint32_t j = 0; j < kSites; ++j) {
      if (j != i) add_pair_mask(masked, pair_key(i, j), kBits, SiteIndex(i), SiteIndex(j));
    }
    CHECK(masked != std::vector<std::uint32_t>(100, i + 1));
    for (std::size_t k = 0; k < masked.size(); ++k) {
      all[k] = (all[k] + masked[k]) & ((1u << kBits) - 1);
      if (i != kDropped) without_dropped[k] = (without_dropped[k] + masked[k]) & ((1u << kBits) - 1);
    }
  }
  CHECK(all == std::vector<std::uint32_t>(100, 15));
  CHECK(without_dropped != std::vector<std::uint32_t>(100, 12));
  for (std::uint32_t i = 0; i < kSites; ++i) {
    if (i != kDropped) remove_pair_mask(without_dropped, pair_key(kDropped, i), kBits, SiteIndex(i), SiteIndex(kDropped));
  }
  CHECK(without_dropped == std::vector<std::uint32_t>(100, 12));
}

}  // namespace
}  // namespace sotto::crypto
