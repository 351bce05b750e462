// The handlers of a site's messages. Each rejects in one order: sender, phase, type, size, content, signature; only then it
// acts.
#include <algorithm>

#include "aggregation/ring.h"
#include "coordinator/round/round_state.h"
#include "crypto/hash.h"
#include "crypto/statement.h"

namespace sotto::coordinator {

// What differs between the answers to KEYS, SHARES, REPORT, CONFIRM and UNMASK: hashes() is what is costly and needed twice,
// said() what the signature covers, kept() the same of what the site said before in this attempt.
struct Said {
  Bytes body;
  SignatureBytes signature{};
  bool operator==(const Said&) const = default;
};
struct Nothing {};

template <>
struct Step<wire::Keys> {
  using State = Round::State;
  static constexpr Phase kPhase = Phase::kKeys;
  static constexpr const char *kLabel = "keys", *kBad = "bad_keys", *kWhat = "KEYS";
  static bool sent(const Member& member) { return member.keys.has_value(); }
  static Result<void> content(const State& s, SiteIndex site, const wire::Keys& m) {
    return check_content(s.facts, site, m);
  }
  static Nothing hashes(const wire::Keys&) { return {}; }
  static Said said(const wire::Keys& m, Nothing) { return {wire::body(m), m.signature}; }
  static Said kept(const State&, const Member& member) { return said(*member.keys, {}); }
  static void keep(State& s, SiteIndex site, const wire::Keys& m, Nothing) {
    auto& member = s.members[site.value()];
    member.keys = m;
    member.declined = false;
    s.actions.push_back(
        Append{audit::SiteKeys{s.input.plan.run, s.input.round, s.attempt, site, crypto::sha256(wire::body(m))}});
  }
};

template <>
struct Step<wire::Shares> {
  using State = Round::State;
  static constexpr Phase kPhase = Phase::kShares;
  static constexpr const char *kLabel = "shares", *kBad = "bad_shares", *kWhat = "SHARES";
  static bool sent(const Member& member) { return member.shares.has_value(); }
  static Result<void> content(const State& s, SiteIndex site, const wire::Shares& m) {
    return check_content(s.facts, site, m, s.key_sites);
  }
  static std::vector<Digest> hashes(const wire::Shares& m) { return hashes_of(m.sealed); }
  static Said said(const wire::Shares& m, const std::vector<Digest>& sealed) { return {wire::body(m, sealed), m.signature}; }
  static Said kept(const State&, const Member& member) { return said(*member.shares, member.sealed_hashes); }
  static void keep(State& s, SiteIndex site, const wire::Shares& m, const std::vector<Digest>& sealed) {
    auto& member = s.members[site.value()];
    member.shares = m;
    member.sealed_hashes = sealed;
    s.actions.push_back(
        Append{audit::SiteShares{s.input.plan.run, s.input.round, s.attempt, site, crypto::sha256(wire::body(m, sealed))}});
  }
};

template <>
struct Step<wire::Report> {
  using State = Round::State;
  static constexpr Phase kPhase = Phase::kReport;
  static constexpr const char *kLabel = "report", *kBad = "bad_report", *kWhat = "REPORTs";
  static bool sent(const Member& member) { return member.masked.has_value(); }
  static Result<void> content(const State& s, SiteIndex, const wire::Report& m) {
    return check_content(s.facts, m, s.u1_digest);
  }
  static Digest hashes(const wire::Report& m) { return crypto::sha256(m.masked); }
  static Said said(const wire::Report& m, const Digest& masked) {
    return {wire::report_body(m.context, m.u1, masked), m.signature};
  }
  static Said kept(const State& s, const Member& member) {
    return {wire::report_body(s.facts.context, s.u1_digest, *member.masked), member.report_signature};
  }
  static void keep(State& s, SiteIndex site, const wire::Report& m, const Digest& masked) {
    const auto vector = aggregation::unpack_bits(m.masked, s.facts.update_size, s.facts.descriptor.ring.bits);
    if (!vector.ok()) return s.drop(site, kBad, vector.error().message);
    if (const auto added = s.sum->add(site, *vector); !added.ok()) return s.drop(site, kBad, added.error().message);
    auto& member = s.members[site.value()];
    member.masked = masked;
    member.report_signature = m.signature;
    s.actions.push_back(
        Append{audit::ReportReceived{s.input.plan.run, s.input.round, s.attempt, site, s.u1_digest, masked, m.signature}});
  }
};

template <>
struct Step<wire::Confirm> {
  using State = Round::State;
  static constexpr Phase kPhase = Phase::kConfirm;
  static constexpr const char *kLabel = "confirm", *kBad = "bad_confirm", *kWhat = "CONFIRMs";
  static bool sent(const Member& member) { return member.confirm.has_value(); }
  static Result<void> content(const State& s, SiteIndex, const wire::Confirm& m) {
    return check_content(s.facts, m, s.u1_digest, s.u3_digest);
  }
  static Nothing hashes(const wire::Confirm&) { return {}; }
  static Said said(const wire::Confirm& m, Nothing) { return {wire::body(m), m.signature}; }
  static Said kept(const State&, const Member& member) { return said(*member.confirm, {}); }
  static void keep(State& s, SiteIndex site, const wire::Confirm& m, Nothing) {
    s.members[site.value()].confirm = m;
    s.actions.push_back(Append{
        audit::ConfirmReceived{s.input.plan.run, s.input.round, s.attempt, site, s.u1_digest, s.u3_digest, m.signature}});
  }
};

template <>
struct Step<wire::Unmask> {
  using State = Round::State;
  static constexpr Phase kPhase = Phase::kUnmask;
  static constexpr const char *kLabel = "unmask", *kBad = "bad_unmask", *kWhat = "UNMASK answers";
  static bool sent(const Member& member) { return member.unmask.has_value(); }
  static Result<void> content(const State& s, SiteIndex, const wire::Unmask& m) {
    return check_content(m, s.u1_sites, s.u3);
  }
  static Nothing hashes(const wire::Unmask&) { return {}; }
  static Said said(const wire::Unmask& m, Nothing) { return {wire::body(m), m.signature}; }
  static Said kept(const State&, const Member& member) { return said(*member.unmask, {}); }
  static void keep(State& s, SiteIndex site, const wire::Unmask& m, Nothing) {
    std::vector<const wire::Shares*> dealt;
    for (const auto owner : s.u1_sites) dealt.push_back(&*s.members[owner.value()].shares);
    if (const auto ok = check_revealed(s.facts, site, m, dealt); !ok.ok()) {
      // The signed answer beside the owner's signed hashes is the proof; the shares of the others still open the attempt.
      s.actions.push_back(
          KeepProof{site, "bad_share", ok.error().message, crypto::with_signature(wire::body(m), m.signature), {}});
      return s.drop(site, "bad_share", ok.error().message, true);
    }
    s.members[site.value()].unmask = m;
  }
};

template <class M>
  requires AnswersPhase<M>
void Round::State::take(SiteIndex site, const M& m) {
  using S = Step<M>;
  // t answers open the attempt; a further one was asked for and is not needed.
  if (std::same_as<M, wire::Unmask> && phase > S::kPhase && member(site).confirm && !S::sent(member(site))) return;
  const Turn now_is = turn(site, S::kPhase, S::sent(member(site)));
  if (now_is == Turn::kDropped) return;
  const bool repeated = now_is == Turn::kRepeated;
  const auto content = S::content(*this, site, m);
  // Other survivors under a valid signature contradict the CONFIRM that came before.
  const bool may_contradict = repeated && std::same_as<M, wire::Confirm>;
  if (!content.ok() && !may_contradict) return drop(site, S::kBad, content.error().message);
  const auto hashes = S::hashes(m);
  const Said said = S::said(m, hashes);
  if (repeated && said == S::kept(*this, member(site))) return repeat_request(site, S::kPhase);
  const auto holds = check_signature(facts, S::kLabel, site, said.body, said.signature);
  if (repeated && holds.ok()) {
    const Said before = S::kept(*this, member(site));
    return prove(site, S::kWhat, crypto::with_signature(before.body, before.signature),
                 crypto::with_signature(said.body, said.signature));
  }
  if (!content.ok()) return drop(site, S::kBad, content.error().message);
  if (!holds.ok()) return drop(site, "bad_signature", holds.error().message);
  S::keep(*this, site, m, hashes);
}

void Round::State::drop(SiteIndex site, std::string code, std::string reason, bool exclude) {
  if (exclude) excluded[site.value()] = true;
  actions.push_back(Drop{site, std::move(code), std::move(reason), exclude});
}

void Round::State::prove(SiteIndex site, const char* what, Bytes first, Bytes second) {
  const std::string reason = "site '" + facts.name_of(site) + "' signed two different " + what + " in attempt " +
                             std::to_string(attempt.value()) + " of round " + std::to_string(input.round.value());
  actions.push_back(KeepProof{site, "equivocation", reason, std::move(first), std::move(second)});
  drop(site, "equivocation", reason + "; it takes no further part in this round", true);
}

bool Round::State::header_fits(SiteIndex site, const wire::RoundHeader& h) {
  if (h.run != input.plan.run || h.round != input.round) {
    drop(site, "wrong_round",
         "the message is for run '" + h.run.value() + "', round " + std::to_string(h.round.value()) +
             ", not for the round that is open");
    return false;
  }
  if (h.attempt != attempt || phase == Phase::kWaitingForHead) {
    drop(site, "wrong_attempt", "attempt " + std::to_string(h.attempt.value()) + " is not open");
    return false;
  }
  return true;
}

void Round::State::handle(const FromSite& e) {
  if (e.site.value() >= n) {
    actions.push_back(Drop{e.site, "unknown_sender", "the sender is not in the roster of this run", false});
    return;
  }
  if (phase == Phase::kDone || phase == Phase::kVoid) return drop(e.site, "round_over", "this round is over");
  if (excluded[e.site.value()]) return drop(e.site, "excluded", "this site was excluded from the round");
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { take(e.site, m); }) {
          if (header_fits(e.site, m.header)) take(e.site, m);
        } else {
          drop(e.site, "wrong_type", "this message is no part of a round");
        }
      },
      e.message);
}

Round::State::Turn Round::State::turn(SiteIndex site, Phase phase_of_message, bool sent_before) {
  if (phase < phase_of_message) {
    drop(site, "too_early", std::string("the round is in phase ") + to_string(phase));
    return Turn::kDropped;
  }
  if (sent_before) return Turn::kRepeated;
  if (phase > phase_of_message) {
    drop(site, "late", std::string("the round has gone on to phase ") + to_string(phase));
    return Turn::kDropped;
  }
  if (!expected(site)) {
    drop(site, "not_asked", std::string("phase ") + to_string(phase) + " asks nothing of this site");
    return Turn::kDropped;
  }
  return Turn::kTake;
}

// A site that says again what an earlier phase asked for has lost sight of the round: it gets the present request.
void Round::State::repeat_request(SiteIndex site, Phase phase_of_message) {
  if (phase == phase_of_message) return;
  if (auto request = request_for(site)) actions.push_back(Send{{site}, std::move(*request)});
}

void Round::State::take(SiteIndex site, const wire::Accepted& m) {
  auto& member = members[site.value()];
  if (phase != Phase::kResult) return drop(site, "too_early", "no result of this round is published yet");
  if (m.adapter != crypto::sha256(result.adapter))
    return drop(site, "bad_accepted", "the site accepted another adapter than the one that was published");
  member.accepted = true;
}

void Round::State::take(SiteIndex site, const wire::Declined& m) {
  auto& member = members[site.value()];
  // Once an attempt: results are large, and a site that is still behind after them will not catch up.
  if (m.code == "behind" && !member.caught_up) {
    member.caught_up = true;
    actions.push_back(CatchUp{site});
    return;
  }
  member.declined = true;
}

}  // namespace sotto::coordinator
