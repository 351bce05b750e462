// From SHARES to UNMASK: what a site accepts, and the four moments at which it fixes a message for good.
#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "client/protocol/participant_impl.h"
#include "client/protocol/sealed_share.h"
#include "crypto/hash.h"
#include "crypto/mask.h"
#include "crypto/statement.h"

namespace sotto::client {

// ---- ShareList and REPORT

// What a peer saw of the logs. Two heads that contradict each other under one signature are a proof against the signer; an
// older head of the coordinator in the peer's hand is none (the peer may lie), but it ends the attempt all the same.
Verdict Participant::State::judge_heads(SiteIndex from, const wire::HeadBytes& theirs, const wire::HeadBytes& coordinators) {
  const std::string& name = facts.name_of(from);
  if (coordinators != attempt().coordinator_head) {
    const auto fault =
        judge_head(coordinators, wire::kCoordinatorName, facts.roster.coordinator, attempt().coordinator_head);
    if (fault == HeadFault::kSplit) {
      halt(header(),
           {"split_view",
            "the coordinator signed two heads of its log that contradict each other; one was shown to site '" + name + "'",
            attempt().coordinator_head, coordinators});
      return Refusal{"split_view", ""};
    }
    return Refusal{"split_view", "site '" + name + "' was shown another head of the coordinator's log in this attempt"};
  }
  const auto& before = memory.heads[from.value()];
  switch (judge_head(theirs, name, facts.roster.sites[from.value()].identity, before)) {
    case HeadFault::kNone: return std::nullopt;
    case HeadFault::kInvalid:
      return Refusal{"bad_head", "the head that site '" + name + "' shared is malformed or not signed by its key"};
    case HeadFault::kOlder:
      return Refusal{"head_went_back", "the log of site '" + name + "' has become shorter since this site last saw it"};
    case HeadFault::kSplit:
      abandon({"split_view", "site '" + name + "' signed two heads of its log that contradict each other", before, theirs});
      return Refusal{"split_view", ""};
  }
  return std::nullopt;
}

// Opens and checks this site's share from every other site of U1, in order; `verdict` says what a failure is to be called.
Result<std::vector<HeldShares>> Participant::State::open_shares(const wire::ShareList& m,
                                                                std::vector<wire::HeadBytes>& heads, Verdict& verdict) {
  const auto& a = attempt();
  std::vector<HeldShares> held;
  const auto fail = [&](Refusal refusal) {
    verdict = refusal;
    return protocol_error(refusal.reason);
  };
  for (const auto& s : m.from) {
    if (s.from == facts.self) {
      const auto& own = a.secrets->held.front();
      held.push_back(
          {facts.self, crypto::ShareValue::from(own.seed_share.reveal()), crypto::ShareValue::from(own.key_share.reveal())});
      continue;
    }
    const auto& name = facts.name_of(s.from);
    const auto& keys = std::ranges::find(a.key_list, s.from, &wire::KeysOf::site)->keys;
    const SealingContext context{header(),
                                 facts.roster_digest,
                                 s.from,
                                 facts.self,
                                 crypto::SealPublicKey(keys.seal_key),
                                 crypto::SealPublicKey(a.keys.seal_key)};
    auto opened = open_share(context, a.secrets->seal_key, s.sealed);
    if (!opened.ok())
      return fail({"bad_share", "the share from site '" + name + "' does not open: " + opened.error().message});
    const auto point = static_cast<std::uint8_t>(facts.self.value() + 1);
    const auto matches = [&](const crypto::ShareValue& value, wire::SecretKind kind, const std::vector<Digest>& hashes) {
      const crypto::Share share{point, crypto::ShareValue::from(value.reveal())};
      return crypto::share_hash(share, wire::share_context(header(), s.from, kind)) == hashes[facts.self.value()];
    };
    if (!matches(opened->seed_share, wire::SecretKind::kSelfMaskSeed, s.seed_share_hashes) ||
        !matches(opened->key_share, wire::SecretKind::kMaskKey, s.key_share_hashes))
      return fail({"bad_share", "the share from site '" + name + "' is not the one whose hash it signed"});
    if (auto refusal = judge_heads(s.from, opened->own_head, opened->coordinator_head)) return fail(*refusal);
    heads[s.from.value()] = std::move(opened->own_head);
    held.push_back({s.from, std::move(opened->seed_share), std::move(opened->key_share)});
  }
  return held;
}

void Participant::State::take(wire::ShareList& m) {
  if (!in_attempt(m.header)) return;
  auto& a = attempt();
  if (!a.shares) return decline(m.header, "too_early", "this site has not dealt its shares yet");
  if (const auto refusal = check_share_list(facts, m, a.key_list, *a.shares)) return decline(m.header, *refusal);
  std::vector<CohortMember> u1;
  for (const auto& s : m.from) {
    const auto& keys = std::ranges::find(a.key_list, s.from, &wire::KeysOf::site)->keys;
    u1.push_back({s.from, crypto::sha256(wire::body(keys)),
                  crypto::sha256(wire::share_hashes_preimage(s.seed_share_hashes, s.key_share_hashes))});
  }
  if (!a.u1.empty()) {
    if (u1 != a.u1) return decline(m.header, "second_share_list", "a second, different share list for one attempt");
    return report_or_train();
  }
  auto heads = memory.heads;
  Verdict verdict;
  auto held = open_shares(m, heads, verdict);
  if (!held.ok()) {
    if (!verdict->reason.empty()) decline(m.header, *verdict);  // otherwise abandon() or halt() has said it
    return;
  }
  a.secrets->held = std::move(*held);
  a.u1 = std::move(u1);
  memory.heads = std::move(heads);
  persist();
  for (const auto& p : a.u1)
    if (p.site != facts.self) append(audit::HeadSeen{memory.heads[p.site.value()]});
  report_or_train();
}

void Participant::State::report_or_train() {
  if (attempt().report) return send_report();
  if (memory.update) return make_report();
  if (training) return;  // its outcome goes into this attempt
  training = attempt().descriptor;
  actions.push_back(Train{attempt().descriptor, memory.adapter});
}

void Participant::State::handle(Trained& e) {
  if (!training || e.round != memory.next_round || memory.opened) return;  // the round went on without this site
  SOTTO_CHECK(e.update.size() == facts.update_size(e.round));
  memory.update.emplace(*training, std::move(e.update));
  training.reset();
  const bool waited_for = memory.attempt && !attempt().abandoned && !attempt().u1.empty() && !attempt().report;
  if (waited_for) return make_report();
  persist();
}

void Participant::State::handle(TrainingRefused& e) {
  if (!training || e.round != memory.next_round) return;
  training.reset();
  if (memory.attempt) decline(header(), std::move(e.code), std::move(e.reason));
}

// One REPORT per ctx: y_i = x_i + PRG(self) + sum of pair masks, modulo 2^b.
void Participant::State::make_report() {
  auto& a = attempt();
  SOTTO_CHECK(!a.report && !memory.opened && same_round_inputs(memory.update->made_under, a.descriptor));
  const auto bits = a.descriptor.ring.bits;
  const crypto::MaskContext context{audit::context_of(a.descriptor), audit::u1_hash(a.u1)};
  auto y = memory.update->elements;
  crypto::add_mask(y, crypto::derive_self_mask_key(a.secrets->seed, context, facts.self), bits);
  for (const auto& p : a.u1) {
    if (p.site == facts.self) continue;
    const auto& keys = std::ranges::find(a.key_list, p.site, &wire::KeysOf::site)->keys;
    const auto agreement = crypto::agree(a.secrets->mask_key, crypto::MaskPublicKey(keys.mask_key)).value();
    crypto::add_pair_mask(y, crypto::derive_pair_mask_key(agreement, context, facts.self, p.site), bits, facts.self, p.site);
  }
  wire::Report m{header(), context.ctx, context.u1, aggregation::pack_bits(y, bits), {}};
  const auto statement =
      audit::report_statement(a.descriptor, facts.name_of(facts.self), context.u1, crypto::sha256(m.masked));
  m.signature = crypto::sign_statement(*identity, statement);
  a.report = std::move(m);
  persist();
  send_report();
}

void Participant::State::send_report() {
  const auto& m = *attempt().report;
  append(audit::ReportSent{m.header.run, m.header.round, m.header.attempt, m.context, m.u1, crypto::sha256(m.masked)});
  send(m);
}

// ---- CONFIRM

void Participant::State::take(wire::ConfirmRequest& m) {
  if (!in_attempt(m.header)) return;
  auto& a = attempt();
  if (!a.report) return decline(m.header, "too_early", "this site has not reported in this attempt");
  const Bytes body = wire::body(m);
  if (a.confirm) {
    const ByteSpan confirmed = ByteSpan(a.confirm_request).first(a.confirm_request.size() - m.signature.size());
    if (std::ranges::equal(confirmed, body)) return send_confirm();
    if (coordinator_signed(facts, m.header, wire::label_of(m), body, m.signature))
      return halt(m.header,
                  {"two_sets_of_survivors", "the coordinator signed two different sets of survivors of one attempt",
                   a.confirm_request, crypto::with_signature(body, m.signature)});
    return decline(m.header, "second_confirm", "this site has confirmed other survivors in this attempt");
  }
  if (const auto refusal = check_confirm_request(facts, a.descriptor, m, a.u1, *a.report))
    return decline(m.header, *refusal);
  for (const auto& s : m.survivors) a.u3.push_back(s.site);
  a.confirm_request = crypto::with_signature(body, m.signature);
  const Digest u3 = audit::u3_hash(a.u3);
  wire::Confirm confirm{header(), a.report->context, a.report->u1, u3, {}};
  confirm.signature =
      crypto::sign_statement(*identity, audit::confirm_statement(a.descriptor, facts.name_of(facts.self), confirm.u1, u3));
  a.confirm = std::move(confirm);
  persist();
  send_confirm();
}

void Participant::State::send_confirm() {
  const auto& m = *attempt().confirm;
  append(audit::ConfirmSigned{m.header.run, m.header.round, m.header.attempt, m.context, m.u1, m.u3, attempt().u3});
  send(m);
}

// ---- UNMASK

void Participant::State::take(wire::UnmaskRequest& m) {
  if (!in_attempt(m.header)) return;
  auto& a = attempt();
  if (!a.confirm) return decline(m.header, "too_early", "this site has confirmed no survivors in this attempt");
  if (m.survivors != a.u3) return decline(m.header, "bad_survivors", "these are not the survivors that this site confirmed");
  if (a.unmask) return send_unmask();
  SOTTO_CHECK(!memory.opened);
  if (const auto refusal = check_confirms(facts, a.descriptor, a.confirm->u1, a.u3, m.confirms))
    return decline(m.header, *refusal);
  wire::Unmask answer{header(), {}, {}};
  for (std::size_t i = 0; i < a.u1.size(); ++i) {
    const auto& held = a.secrets->held[i];
    SOTTO_CHECK(held.dealer == a.u1[i].site);
    const bool survivor = std::ranges::binary_search(a.u3, held.dealer);
    wire::RevealedShare share{held.dealer, survivor ? wire::SecretKind::kSelfMaskSeed : wire::SecretKind::kMaskKey, {}};
    std::ranges::copy((survivor ? held.seed_share : held.key_share).reveal(), share.share.begin());
    answer.shares.push_back(share);
  }
  answer.signature = sign(answer.header, wire::label_of(answer), wire::body(answer));
  a.unmask = std::move(answer);
  // No other attempt of this round is ever joined: nothing that could mask or reveal again is kept.
  memory.opened = true;
  a.secrets.reset();
  memory.update.reset();
  persist();
  send_unmask();
}

void Participant::State::send_unmask() {
  const auto& m = *attempt().unmask;
  append(audit::UnmaskAnswered{m.header.run, m.header.round, m.header.attempt, crypto::sha256(wire::body(m))});
  send(m);
}

}  // namespace sotto::client
