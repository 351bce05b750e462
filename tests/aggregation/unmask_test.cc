#include "aggregation/unmask.h"

#include "crypto/hash.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::aggregation {
namespace {

constexpr std::uint32_t kBits = 24;
constexpr std::uint32_t kRingMask = (1u << kBits) - 1;
constexpr std::size_t kSize = 5000;

using Vector = std::vector<std::uint32_t>;

// A cohort after SHARES: keys, seeds and inputs of every site of U1, which need not be 0, 1, 2, ...
struct Cohort {
  explicit Cohort(std::vector<SiteIndex> members) : sites(std::move(members)) {
    FixedRandom source(sites.size());
    for (std::size_t i = 0; i < sites.size(); ++i) {
      keys.push_back(crypto::MaskKey::random(source));
      seeds.push_back(crypto::MaskSeed::random(source));
      Vector x(kSize);
      for (auto& element : x) element = static_cast<std::uint32_t>(source.below(kRingMask + 1u));
      inputs.push_back(std::move(x));
    }
  }

  Vector masked(std::size_t i) const {
    Vector y = inputs[i];
    crypto::add_mask(y, crypto::derive_self_mask_key(seeds[i], context, sites[i]), kBits);
    for (std::size_t j = 0; j < sites.size(); ++j) {
      if (j == i) continue;
      const auto agreement = crypto::agree(keys[i], crypto::public_key(keys[j])).value();
      crypto::add_pair_mask(y, crypto::derive_pair_mask_key(agreement, context, sites[i], sites[j]), kBits, sites[i],
                            sites[j]);
    }
    return y;
  }

  Vector plain_sum(const std::vector<bool>& survives) const {
    Vector sum(kSize);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      for (std::size_t k = 0; survives[i] && k < kSize; ++k) sum[k] = (sum[k] + inputs[i][k]) & kRingMask;
    }
    return sum;
  }

  MaskedSum masked_sum(const std::vector<bool>& survives) const {
    MaskedSum sum(kSize, kBits);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      if (survives[i]) sum.add(sites[i], masked(i)).value();
    }
    return sum;
  }

  Unmasking unmasking(const std::vector<bool>& survives) const {
    Unmasking with{context, {}, {}, {}};
    for (std::size_t i = 0; i < sites.size(); ++i) {
      with.u1.push_back({sites[i], crypto::public_key(keys[i]), crypto::commit(seeds[i])});
      if (survives[i]) {
        with.seeds.push_back({sites[i], crypto::MaskSeed::from(seeds[i].reveal())});
      } else {
        with.keys.push_back({sites[i], crypto::MaskKey::from(keys[i].reveal())});
      }
    }
    return with;
  }

  std::vector<SiteIndex> sites;
  crypto::MaskContext context{crypto::sha256(as_bytes("d")), crypto::sha256(as_bytes("u1"))};
  std::vector<crypto::MaskKey> keys;
  std::vector<crypto::MaskSeed> seeds;
  std::vector<Vector> inputs;
};

std::vector<SiteIndex> some_sites() { return {SiteIndex(0), SiteIndex(2), SiteIndex(3), SiteIndex(7), SiteIndex(12)}; }
const std::vector<bool> kOneDropped{true, true, false, true, true};

std::string error_of(MaskedSum&& sum, Unmasking&& with) {
  const auto result = unmask(std::move(sum), std::move(with));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::kProtocol);
  return result.error().message;
}

TEST_CASE("whoever drops out, unmasking gives the sum of the survivors' inputs, integer for integer", "[unmask]") {
  const Cohort cohort(some_sites());
  for (unsigned subset = 1; subset < 32; ++subset) {
    std::vector<bool> survives;
    for (unsigned i = 0; i < 5; ++i) survives.push_back((subset >> i & 1u) == 1);
    CHECK(unmask(cohort.masked_sum(survives), cohort.unmasking(survives)).value() == cohort.plain_sum(survives));
  }
}

TEST_CASE("before it is unmasked a sum is not the sum of the inputs", "[unmask]") {
  const Cohort cohort(some_sites());
  const std::vector<bool> all(5, true);
  CHECK(cohort.masked_sum(all).elements() != cohort.plain_sum(all));
}

TEST_CASE("a flipped bit of a masked vector makes the sum wrong", "[unmask]") {
  const Cohort cohort(some_sites());
  const std::vector<bool> all(5, true);
  MaskedSum sum(kSize, kBits);
  for (std::size_t i = 0; i < 5; ++i) {
    Vector y = cohort.masked(i);
    if (i == 3) y[kSize - 1] ^= 1u << 5;
    sum.add(cohort.sites[i], y).value();
  }
  CHECK(unmask(std::move(sum), cohort.unmasking(all)).value() != cohort.plain_sum(all));
}

TEST_CASE("sites that were shown another context do not cancel", "[unmask]") {
  const Cohort cohort(some_sites());
  const std::vector<bool> all(5, true);
  auto with = cohort.unmasking(all);
  with.context.u1[0] ^= 1;
  CHECK(unmask(cohort.masked_sum(all), std::move(with)).value() != cohort.plain_sum(all));
}

TEST_CASE("a seed that does not fit its commitment is refused and its site named", "[unmask]") {
  const Cohort cohort(some_sites());
  auto with = cohort.unmasking(kOneDropped);
  with.seeds[1].seed = crypto::MaskSeed::from(Bytes(32, 1));
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(with)).find("site 2") != std::string::npos);
}

TEST_CASE("a mask key that does not fit the published one is refused and its site named", "[unmask]") {
  const Cohort cohort(some_sites());
  auto with = cohort.unmasking(kOneDropped);
  with.keys[0].key = crypto::MaskKey::from(Bytes(32, 1));
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(with)).find("site 3") != std::string::npos);
}

TEST_CASE("one site named both as survivor and as dropped is refused", "[unmask]") {
  const Cohort cohort(some_sites());
  auto with = cohort.unmasking(kOneDropped);
  with.keys.push_back({cohort.sites[0], crypto::MaskKey::from(cohort.keys[0].reveal())});
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(with)).find("site 0 is a survivor") != std::string::npos);
}

TEST_CASE("a secret that is missing, twice there, or of a stranger is refused", "[unmask]") {
  const Cohort cohort(some_sites());
  auto missing_seed = cohort.unmasking(kOneDropped);
  missing_seed.seeds.pop_back();
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(missing_seed)).find("site 12") != std::string::npos);
  auto missing_key = cohort.unmasking(kOneDropped);
  missing_key.keys.clear();
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(missing_key)).find("site 3") != std::string::npos);
  auto twice = cohort.unmasking(kOneDropped);
  twice.seeds.push_back({cohort.sites[0], crypto::MaskSeed::from(cohort.seeds[0].reveal())});
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(twice)).find("two rebuilt") != std::string::npos);
  auto stranger = cohort.unmasking(kOneDropped);
  stranger.keys.push_back({SiteIndex(99), crypto::MaskKey::from(Bytes(32, 1))});
  CHECK_FALSE(unmask(cohort.masked_sum(kOneDropped), std::move(stranger)).ok());
  auto repeated = cohort.unmasking(kOneDropped);
  repeated.u1.push_back(repeated.u1[0]);
  CHECK(error_of(cohort.masked_sum(kOneDropped), std::move(repeated)).find("twice") != std::string::npos);
}

TEST_CASE("a vector of a site outside of U1 is refused", "[unmask]") {
  const Cohort cohort(some_sites());
  auto sum = cohort.masked_sum(kOneDropped);
  sum.add(SiteIndex(99), Vector(kSize)).value();
  CHECK(error_of(std::move(sum), cohort.unmasking(kOneDropped)).find("site 99") != std::string::npos);
}

TEST_CASE("a vector twice, of another size or with too wide an element is not added", "[unmask]") {
  MaskedSum sum(3, kBits);
  CHECK(sum.add(SiteIndex(1), Vector{1, 2, kRingMask}).ok());
  CHECK_FALSE(sum.add(SiteIndex(1), Vector{1, 2, 3}).ok());
  CHECK_FALSE(sum.add(SiteIndex(2), Vector{1, 2}).ok());
  CHECK_FALSE(sum.add(SiteIndex(2), Vector{1, 2, kRingMask + 1}).ok());
  CHECK(sum.elements() == Vector{1, 2, kRingMask});
  CHECK(sum.add(SiteIndex(2), Vector{1, 1, 1}).ok());
  CHECK(sum.elements() == Vector{2, 3, 0});
  CHECK(sum.sites() == std::vector<SiteIndex>{SiteIndex(1), SiteIndex(2)});
}

}  // namespace
}  // namespace sotto::aggregation
