#include "coordinator/round/round_checks.h"

#include <algorithm>

#include "aggregation/ring.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/shamir.h"

namespace sotto::coordinator {
namespace {

// Two shares and two signed heads; heads are a few hundred bytes.
constexpr std::size_t kMaxSealedBytes = 4096;

Error size_error(const char* field, std::size_t is, std::size_t must) {
  return protocol_error(std::string(field) + " has " + std::to_string(is) + " entries or bytes, must be " +
                        std::to_string(must));
}

}  // namespace

crypto::Statement statement_of(const AttemptFacts& facts, const char* label, const std::string& sender, ByteSpan body) {
  const auto& d = facts.descriptor;
  return {label, sender, d.run, d.round, d.attempt, d.roster, crypto::sha256(body)};
}

std::vector<Digest> hashes_of(const std::vector<wire::SealedShare>& sealed) {
  std::vector<Digest> out;
  for (const auto& s : sealed) out.push_back(crypto::sha256(s.sealed));
  return out;
}

Result<void> check_content(const AttemptFacts&, SiteIndex site, const wire::Keys& m) {
  if (m.mask_key == m.seal_key)
    return protocol_error("site " + std::to_string(site.value()) +
                          " uses one key to mask and to seal; they must be different");
  return {};
}

Result<void> check_content(const AttemptFacts& facts, SiteIndex site, const wire::Shares& m,
                           const std::vector<SiteIndex>& members) {
  const std::size_t n = facts.descriptor.sites;
  if (m.seed_share_hashes.size() != n) return size_error("shares.seed_share_hashes", m.seed_share_hashes.size(), n);
  if (m.key_share_hashes.size() != n) return size_error("shares.key_share_hashes", m.key_share_hashes.size(), n);
  if (m.sealed.size() + 1 != members.size()) return size_error("shares.sealed", m.sealed.size(), members.size() - 1);
  std::size_t at = 0;
  for (const auto member : members) {
    if (member == site) continue;
    const auto& share = m.sealed[at++];
    if (share.to != member)
      return protocol_error("shares.sealed is not for the sites of the key list in their order: found site " +
                            std::to_string(share.to.value()) + " in place of site " + std::to_string(member.value()));
    if (share.sealed.size() < crypto::kAeadOverhead || share.sealed.size() > kMaxSealedBytes)
      return size_error("shares.sealed for one site", share.sealed.size(), kMaxSealedBytes);
  }
  return {};
}

Result<void> check_content(const AttemptFacts& facts, const wire::Report& m, const Digest& u1) {
  const auto size = aggregation::packed_size(facts.update_size, facts.descriptor.ring.bits);
  if (m.masked.size() != size) return size_error("report.masked", m.masked.size(), size);
  if (m.context != facts.context)
    return protocol_error("report.context is not this attempt's: the site saw another descriptor");
  if (m.u1 != u1) return protocol_error("report.u1 is not this attempt's: the site saw another set of sites");
  return {};
}

Result<void> check_content(const AttemptFacts& facts, const wire::Confirm& m, const Digest& u1, const Digest& u3) {
  if (m.context != facts.context)
    return protocol_error("confirm.context is not this attempt's: the site saw another descriptor");
  if (m.u1 != u1) return protocol_error("confirm.u1 is not this attempt's: the site saw another set of sites");
  if (m.u3 != u3) return protocol_error("confirm.u3 is not this attempt's: the site saw other survivors");
  return {};
}

Result<void> check_content(const wire::Unmask& m, const std::vector<SiteIndex>& u1, const std::vector<SiteIndex>& u3) {
  if (m.shares.size() != u1.size()) return size_error("unmask.shares", m.shares.size(), u1.size());
  for (std::size_t i = 0; i < u1.size(); ++i) {
    const auto& share = m.shares[i];
    if (share.owner != u1[i])
      return protocol_error("unmask.shares is not ordered as U1: found site " + std::to_string(share.owner.value()));
    const bool survivor = std::ranges::binary_search(u3, share.owner);
    if (share.kind != (survivor ? wire::SecretKind::kSelfMaskSeed : wire::SecretKind::kMaskKey))
      return protocol_error("unmask.shares has the wrong kind of share for site " + std::to_string(share.owner.value()));
  }
  return {};
}

Result<void> check_signature(const AttemptFacts& facts, const char* label, SiteIndex site, ByteSpan body,
                             const SignatureBytes& signature) {
  const crypto::VerifyKey key(facts.roster->sites[site.value()].identity);
  return crypto::verify_statement(key, statement_of(facts, label, facts.name_of(site), body), signature);
}

Result<void> check_revealed(const AttemptFacts& facts, SiteIndex site, const wire::Unmask& m,
                            const std::vector<const wire::Shares*>& dealt) {
  SOTTO_CHECK(dealt.size() == m.shares.size());
  for (std::size_t i = 0; i < m.shares.size(); ++i) {
    const auto& revealed = m.shares[i];
    const bool seed = revealed.kind == wire::SecretKind::kSelfMaskSeed;
    const auto& hashes = seed ? dealt[i]->seed_share_hashes : dealt[i]->key_share_hashes;
    const crypto::Share share{static_cast<std::uint8_t>(site.value() + 1), crypto::ShareValue::from(revealed.share)};
    const Bytes context = wire::share_context(facts.header(), revealed.owner, revealed.kind);
    if (crypto::share_hash(share, context) != hashes[site.value()])
      return protocol_error("site '" + facts.name_of(site) + "' revealed a share of " +
                            (seed ? std::string("the self-mask seed") : std::string("the mask key")) + " of site '" +
                            facts.name_of(revealed.owner) + "' that is not the one its owner signed");
  }
  return {};
}

}  // namespace sotto::coordinator
