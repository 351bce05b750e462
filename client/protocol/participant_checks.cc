#include "client/protocol/participant_checks.h"

#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

std::string text(SiteIndex site) { return std::to_string(site.value()); }
std::string text(std::size_t n) { return std::to_string(n); }

Verdict refuse(std::string code, std::string reason) { return Refusal{std::move(code), std::move(reason)}; }

Verdict too_few(const char* what, std::size_t have, std::size_t need) {
  return refuse("too_few_sites",
                std::string(what) + " has " + text(have) + " sites; this run asks for at least " + text(need));
}

bool is_subset(const std::vector<SiteIndex>& part, const std::vector<SiteIndex>& whole) {
  return std::ranges::includes(whole, part);
}

}  // namespace

crypto::Statement statement_of(const RunFacts& facts, const wire::RoundHeader& header, const char* label,
                               const std::string& sender, ByteSpan body) {
  return {label, sender, header.run, header.round, header.attempt, facts.roster_digest, crypto::sha256(body)};
}

bool coordinator_signed(const RunFacts& facts, const wire::RoundHeader& header, const char* label, ByteSpan body,
                        const SignatureBytes& signature) {
  const crypto::VerifyKey key(facts.roster.coordinator);
  return crypto::verify_statement(key, statement_of(facts, header, label, wire::kCoordinatorName, body), signature).ok();
}

std::string first_difference(const RoundDescriptor& expected, const RoundDescriptor& shown) {
  const auto& e = expected;
  const auto& s = shown;
  if (e.run != s.run) return "run";
  if (e.round != s.round) return "round";
  if (e.model != s.model) return "model";
  if (e.plan != s.plan) return "plan";
  if (e.roster != s.roster) return "roster";
  if (e.layout != s.layout) return "layout";
  if (e.mode != s.mode) return "mode";
  if (e.unit != s.unit) return "unit";
  if (e.privacy != s.privacy) return "privacy";
  if (e.sites != s.sites) return "sites";
  if (e.colluders != s.colluders) return "colluders";
  if (e.min_sites != s.min_sites) return "min_sites";
  if (e.local_steps != s.local_steps) return "local_steps";
  if (e.clip_norm != s.clip_norm) return "clip_norm";
  if (e.ring.bits != s.ring.bits || e.ring.range != s.ring.range || e.ring.step != s.ring.step) return "ring";
  if (e.rotation_seed != s.rotation_seed) return "rotation_seed";
  if (e.adapter != s.adapter) return "adapter";
  if (e.transcript != s.transcript) return "transcript";
  // Whatever is left differs in the sites' own constants: declared size, sampling rate, noise multiplier, weight.
  return same_round_inputs(e, s) ? "" : "per_site";
}

HeadFault judge_head(ByteSpan bytes, const std::string& party, const PublicKeyBytes& key, ByteSpan before) {
  const auto head = audit::decode_head(bytes);
  if (!head.ok() || head->party != party || head->key != key || !audit::signature_holds(*head)) return HeadFault::kInvalid;
  if (before.empty()) return HeadFault::kNone;
  const auto known = audit::decode_head(before);
  SOTTO_CHECK(known.ok());
  if (known->log != head->log) return HeadFault::kSplit;
  if (known->size == head->size) return known->root == head->root ? HeadFault::kNone : HeadFault::kSplit;
  return head->size < known->size ? HeadFault::kOlder : HeadFault::kNone;
}

std::uint64_t size_to_prove(ByteSpan before, ByteSpan head) {
  if (before.empty()) return 0;
  const auto known = audit::decode_head(before).value();
  return known.size < audit::decode_head(head).value().size ? known.size : 0;
}

bool continues(ByteSpan before, ByteSpan head, const std::vector<Digest>& path) {
  const auto from = audit::decode_head(before).value();
  const auto to = audit::decode_head(head).value();
  return from.log == to.log && audit::verify_consistency({from.size, from.root}, {to.size, to.root}, path);
}

bool is_ordered_set(const std::vector<SiteIndex>& sites, std::uint32_t n) {
  for (std::size_t i = 0; i < sites.size(); ++i)
    if (sites[i].value() >= n || (i > 0 && sites[i] <= sites[i - 1])) return false;
  return true;
}

std::vector<SiteIndex> sites_of(const std::vector<CohortMember>& u1) {
  std::vector<SiteIndex> out;
  for (const auto& p : u1) out.push_back(p.site);
  return out;
}

std::vector<Digest> hashes_of(const std::vector<wire::SealedShare>& sealed) {
  std::vector<Digest> out;
  for (const auto& s : sealed) out.push_back(crypto::sha256(s.sealed));
  return out;
}

Digest shares_digest(const wire::Shares& shares) { return crypto::sha256(wire::body(shares, hashes_of(shares.sealed))); }

Verdict check_key_list(const RunFacts& facts, const wire::KeyList& list, const wire::Keys& own) {
  std::vector<SiteIndex> sites;
  for (const auto& k : list.keys) sites.push_back(k.site);
  if (!is_ordered_set(sites, facts.n()))
    return refuse("bad_key_list", "the key list is not an ordered set of sites of the roster");
  if (sites.size() < facts.tau()) return too_few("the key list", sites.size(), facts.tau());
  if (!std::ranges::binary_search(sites, facts.self)) return refuse("bad_key_list", "the key list leaves out this site");
  for (const auto& k : list.keys) {
    if (k.keys.header != list.header)
      return refuse("bad_key_list", "the keys of site " + text(k.site) + " are of another attempt");
    const Bytes body = wire::body(k.keys);
    if (k.site == facts.self && body != wire::body(own))
      return refuse("swapped_key", "the key list has other keys for this site than it sent");
    const auto statement = statement_of(facts, list.header, wire::label_of(k.keys), facts.name_of(k.site), body);
    if (const auto ok = crypto::verify_statement(facts.key_of(k.site), statement, k.keys.signature); !ok.ok())
      return refuse("bad_signature", ok.error().message);
  }
  return std::nullopt;
}

Verdict check_share_list(const RunFacts& facts, const wire::ShareList& list, const std::vector<wire::KeysOf>& keys,
                         const wire::Shares& own) {
  std::vector<SiteIndex> key_sites;
  for (const auto& k : keys) key_sites.push_back(k.site);
  std::vector<SiteIndex> u1;
  for (const auto& s : list.from) u1.push_back(s.from);
  if (!is_ordered_set(u1, facts.n()) || !is_subset(u1, key_sites))
    return refuse("bad_share_list", "the share list is not an ordered set of sites of the key list");
  if (u1.size() < facts.tau()) return too_few("the share list", u1.size(), facts.tau());
  if (!std::ranges::binary_search(u1, facts.self)) return refuse("bad_share_list", "the share list leaves out this site");
  for (const auto& s : list.from) {
    auto recipients = key_sites;
    std::erase(recipients, s.from);
    if (s.seed_share_hashes.size() != facts.n() || s.key_share_hashes.size() != facts.n())
      return refuse("bad_share_list",
                    "site " + text(s.from) + " did not sign a share hash for each of the " + text(facts.n()) + " sites");
    if (s.recipients != recipients || s.sealed_hashes.size() != recipients.size())
      return refuse("bad_share_list", "site " + text(s.from) + " shared with another set of sites than the key list's");
    const Bytes body = wire::body(s);
    if (s.from == facts.self && body != wire::body(own, hashes_of(own.sealed)))
      return refuse("swapped_key", "the share list has other shares for this site than it sent");
    const auto statement = statement_of(facts, list.header, wire::label_of(own), facts.name_of(s.from), body);
    if (const auto ok = crypto::verify_statement(facts.key_of(s.from), statement, s.signature); !ok.ok())
      return refuse("bad_signature", ok.error().message);
    if (s.from == facts.self) continue;
    const auto at = static_cast<std::size_t>(std::ranges::find(recipients, facts.self) - recipients.begin());
    if (crypto::sha256(s.sealed) != s.sealed_hashes[at])
      return refuse("bad_share", "the sealed share from site " + text(s.from) + " is not the one that it signed");
  }
  return std::nullopt;
}

Verdict check_confirm_request(const RunFacts& facts, const RoundDescriptor& d, const wire::ConfirmRequest& request,
                              const std::vector<CohortMember>& u1, const wire::Report& own) {
  std::vector<SiteIndex> u3;
  for (const auto& s : request.survivors) u3.push_back(s.site);
  if (!is_ordered_set(u3, facts.n()))
    return refuse("bad_survivors", "the survivors are not an ordered set of sites of the roster");
  if (!is_subset(u3, sites_of(u1)))
    return refuse("bad_survivors", "a survivor is not among the sites whose keys and shares are complete");
  if (u3.size() < facts.tau()) return too_few("the set of survivors", u3.size(), facts.tau());
  if (!std::ranges::binary_search(u3, facts.self))
    return refuse("bad_survivors", "the survivors leave out this site, which did report");
  for (const auto& s : request.survivors) {
    if (s.site == facts.self && s.masked != crypto::sha256(own.masked))
      return refuse("bad_survivors", "the survivors list another report of this site than it sent");
    const auto statement = audit::report_statement(d, facts.name_of(s.site), own.u1, s.masked);
    if (const auto ok = crypto::verify_statement(facts.key_of(s.site), statement, s.signature); !ok.ok())
      return refuse("bad_signature", ok.error().message);
  }
  if (!coordinator_signed(facts, request.header, wire::label_of(request), wire::body(request), request.signature))
    return refuse("bad_signature", "the coordinator did not sign this list of survivors");
  return std::nullopt;
}

Verdict check_confirms(const RunFacts& facts, const RoundDescriptor& d, const Digest& u1, const std::vector<SiteIndex>& u3,
                       const std::vector<wire::ConfirmOf>& confirms) {
  std::vector<SiteIndex> signers;
  for (const auto& c : confirms) signers.push_back(c.site);
  if (!is_ordered_set(signers, facts.n()) || !is_subset(signers, u3))
    return refuse("bad_confirms", "the CONFIRMs are not those of an ordered set of survivors");
  if (signers.size() < facts.t())
    return refuse("too_few_confirms",
                  text(signers.size()) + " sites confirmed the survivors; the threshold is " + text(facts.t()));
  const Digest u3_digest = audit::u3_hash(u3);
  for (const auto& c : confirms) {
    const auto statement = audit::confirm_statement(d, facts.name_of(c.site), u1, u3_digest);
    if (const auto ok = crypto::verify_statement(facts.key_of(c.site), statement, c.signature); !ok.ok())
      return refuse("bad_signature", ok.error().message);
  }
  return std::nullopt;
}

Verdict check_result(const RunFacts& facts, const RoundDescriptor& d, const wire::RoundResult& result) {
  const auto u1 = sites_of(result.u1);
  if (!is_ordered_set(u1, facts.n()) || !is_ordered_set(result.survivors, facts.n()) || !is_subset(result.survivors, u1))
    return refuse("bad_result", "the result's survivors are not an ordered part of its U1");
  if (result.survivors.size() < facts.tau()) return too_few("the result", result.survivors.size(), facts.tau());
  const auto size = aggregation::packed_size(facts.update_size(d.round), d.ring.bits);
  if (result.sum.size() != size)
    return refuse("bad_result", "the result's sum has " + text(result.sum.size()) + " bytes, must be " + text(size));
  const auto adapter = decode_adapter(result.adapter);
  if (!adapter.ok()) return refuse("bad_result", adapter.error().message);
  if (adapter->layout != facts.layout)
    return refuse("bad_result", "the result's adapter has another layout than this site's model");
  if (const auto verdict = check_confirms(facts, d, audit::u1_hash(result.u1), result.survivors, result.confirms))
    return verdict;
  if (!coordinator_signed(facts, result.header, wire::label_of(result), wire::body(result), result.signature))
    return refuse("bad_signature", "the coordinator did not sign this result");
  return std::nullopt;
}

}  // namespace sotto::client
