// What a site demands of the coordinator's messages, as pure functions over values: each Refusal has a code for machines and
// a sentence for people. Every check that the protocol asks for before a site signs or releases something is in this file.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/log/signed_head.h"
#include "crypto/statement.h"
#include "plan/round_descriptor.h"
#include "wire/messages.h"

namespace sotto::client {

struct Refusal {
  std::string code;    // snake_case
  std::string reason;  // a sentence
};
using Verdict = std::optional<Refusal>;  // nullopt: nothing to object to

// What a site knows of a run by itself, from the plan and roster that its operator approved.
struct RunFacts {
  RunPlan plan;
  Roster roster;
  SiteIndex self;
  AdapterLayout layout;
  Digest plan_digest{};
  Digest roster_digest{};
  Digest layout_digest{};

  std::size_t update_size(RoundId round) const { return layout.trained_size(part_in_round(plan.trained, round)); }
  std::uint32_t n() const { return static_cast<std::uint32_t>(roster.sites.size()); }
  std::uint32_t t() const { return shamir_threshold(n(), roster.colluders); }
  std::uint32_t tau() const { return plan.min_sites; }
  const std::string& name_of(SiteIndex site) const { return roster.sites[site.value()].name; }
  crypto::VerifyKey key_of(SiteIndex site) const { return crypto::VerifyKey(roster.sites[site.value()].identity); }
};

crypto::Statement statement_of(const RunFacts& facts, const wire::RoundHeader& header, const char* label,
                               const std::string& sender, ByteSpan body);
// A message that the coordinator signs.
bool coordinator_signed(const RunFacts& facts, const wire::RoundHeader& header, const char* label, ByteSpan body,
                        const SignatureBytes& signature);

// The first field in which a descriptor differs from the one that the site expects, by name; empty when in none. Attempt and
// coordinator head are not compared: the site cannot know them.
std::string first_difference(const RoundDescriptor& expected, const RoundDescriptor& shown);

// A party's head as received: the party's own, signed, and not in contradiction to `before` (empty: none seen yet).
enum class HeadFault { kNone, kInvalid, kOlder, kSplit };
HeadFault judge_head(ByteSpan head, const std::string& party, const PublicKeyBytes& key, ByteSpan before);
// Of two heads without fault: the size of `before` when `head` is of a longer log, so that a proof is due; 0 otherwise.
std::uint64_t size_to_prove(ByteSpan before, ByteSpan head);
// RFC 9162, 2.1.4.2: the log of `before` is a prefix of that of `head`.
bool continues(ByteSpan before, ByteSpan head, const std::vector<Digest>& path);

// Strictly ascending, all below n.
bool is_ordered_set(const std::vector<SiteIndex>& sites, std::uint32_t n);

// `own` is what this site sent.
Verdict check_key_list(const RunFacts& facts, const wire::KeyList& list, const wire::Keys& own);
// All but the receiver's own sealed shares, which only it can open.
Verdict check_share_list(const RunFacts& facts, const wire::ShareList& list, const std::vector<wire::KeysOf>& keys,
                         const wire::Shares& own);
Verdict check_confirm_request(const RunFacts& facts, const RoundDescriptor& d, const wire::ConfirmRequest& request,
                              const std::vector<CohortMember>& u1, const wire::Report& own);
// At least t CONFIRMs of distinct survivors over one (ctx, H(U1), H(U3)).
Verdict check_confirms(const RunFacts& facts, const RoundDescriptor& d, const Digest& u1, const std::vector<SiteIndex>& u3,
                       const std::vector<wire::ConfirmOf>& confirms);
// A result by itself: sets, sizes, CONFIRMs, layout, signature. The descriptor and the server step are judged elsewhere.
Verdict check_result(const RunFacts& facts, const RoundDescriptor& d, const wire::RoundResult& result);

std::vector<SiteIndex> sites_of(const std::vector<CohortMember>& u1);
std::vector<Digest> hashes_of(const std::vector<wire::SealedShare>& sealed);
Digest shares_digest(const wire::Shares& shares);  // H(body)

}  // namespace sotto::client
