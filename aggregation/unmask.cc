#include "aggregation/unmask.h"

#include <algorithm>
#include <set>
#include <string>

namespace sotto::aggregation {
namespace {

std::string name(SiteIndex site) { return "site " + std::to_string(site.value()); }

const PublishedKeys* find(const std::vector<PublishedKeys>& u1, SiteIndex site) {
  const auto found = std::find_if(u1.begin(), u1.end(), [site](const PublishedKeys& keys) { return keys.site == site; });
  return found == u1.end() ? nullptr : &*found;
}

// Every site of U1 is either a survivor with a seed or dropped with a key, never both, never neither.
Result<void> check_roles(const MaskedSum& sum, const Unmasking& with) {
  std::set<SiteIndex> u1;
  for (const PublishedKeys& keys : with.u1) {
    if (!u1.insert(keys.site).second) return protocol_error(name(keys.site) + " is in U1 twice");
  }
  const std::set<SiteIndex> survivors(sum.sites().begin(), sum.sites().end());
  std::set<SiteIndex> rebuilt;
  for (const RebuiltSeed& seed : with.seeds) {
    if (!survivors.contains(seed.site))
      return protocol_error(name(seed.site) + " has a rebuilt seed but no vector in the sum");
    if (!rebuilt.insert(seed.site).second) return protocol_error(name(seed.site) + " has two rebuilt secrets");
  }
  for (const RebuiltKey& key : with.keys) {
    if (survivors.contains(key.site)) {
      return protocol_error(name(key.site) +
                            " is a survivor, and its mask key was rebuilt: its vector would be open; refuse");
    }
    if (!rebuilt.insert(key.site).second) return protocol_error(name(key.site) + " has two rebuilt secrets");
  }
  for (const SiteIndex site : survivors) {
    if (!u1.contains(site))
      return protocol_error(name(site) + " has a vector in the sum and is not in U1: refuse its REPORT");
  }
  for (const SiteIndex site : u1) {
    if (!rebuilt.contains(site))
      return protocol_error(name(site) + " is in U1 and no secret of it was rebuilt: wait for t shares");
  }
  if (rebuilt != u1) return protocol_error("a secret was rebuilt of a site that is not in U1");
  return {};
}

Result<void> check_secrets(const Unmasking& with) {
  for (const RebuiltSeed& seed : with.seeds) {
    if (crypto::commit(seed.seed) != find(with.u1, seed.site)->seed_commitment) {
      return protocol_error("the rebuilt self-mask seed of " + name(seed.site) +
                            " does not fit its commitment: a share of it is wrong; take other shares");
    }
  }
  for (const RebuiltKey& key : with.keys) {
    if (crypto::public_key(key.key) != find(with.u1, key.site)->mask_key) {
      return protocol_error("the rebuilt mask key of " + name(key.site) +
                            " does not fit its public key: a share of it is wrong; take other shares");
    }
  }
  return {};
}

}  // namespace

MaskedSum::MaskedSum(std::size_t size, std::uint32_t bits) : sum_(size), bits_(bits) {
  SOTTO_CHECK(bits >= 1 && bits <= 32);
}

Result<void> MaskedSum::add(SiteIndex site, std::span<const std::uint32_t> masked) {
  if (std::find(sites_.begin(), sites_.end(), site) != sites_.end()) {
    return protocol_error("a second vector of " + name(site) + " for the same sum");
  }
  if (masked.size() != sum_.size()) {
    return protocol_error("the vector of " + name(site) + " has " + std::to_string(masked.size()) +
                          " elements; the layout has " + std::to_string(sum_.size()));
  }
  const std::uint32_t mask = bits_ == 32 ? 0xffffffffu : (1u << bits_) - 1;
  std::uint32_t used = 0;
  for (const std::uint32_t element : masked) used |= element;
  if ((used & ~mask) != 0) {
    return protocol_error("the vector of " + name(site) + " has an element of more than " + std::to_string(bits_) + " bits");
  }
  for (std::size_t k = 0; k < sum_.size(); ++k) sum_[k] = (sum_[k] + masked[k]) & mask;
  sites_.push_back(site);
  return {};
}

Result<std::vector<std::uint32_t>> unmask(MaskedSum&& sum, Unmasking&& with) {
  SOTTO_TRY_VOID(check_roles(sum, with));
  SOTTO_TRY_VOID(check_secrets(with));
  const std::vector<SiteIndex> survivors = sum.sites();
  const std::uint32_t bits = sum.bits();
  std::vector<std::uint32_t> elements = std::move(sum).take();
  for (const RebuiltSeed& seed : with.seeds) {
    crypto::subtract_mask(elements, crypto::derive_self_mask_key(seed.seed, with.context, seed.site), bits);
  }
  for (const RebuiltKey& dropped : with.keys) {
    for (const SiteIndex survivor : survivors) {
      SOTTO_TRY(const auto agreement, crypto::agree(dropped.key, find(with.u1, survivor)->mask_key));
      crypto::remove_pair_mask(elements, crypto::derive_pair_mask_key(agreement, with.context, survivor, dropped.site), bits,
                               survivor, dropped.site);
    }
  }
  return elements;
}

}  // namespace sotto::aggregation
