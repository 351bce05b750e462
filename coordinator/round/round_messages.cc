// The handlers of a site's messages. Each rejects in one order: sender, phase, type, size, content, signature; only then it
// acts.
#include <algorithm>

#include "aggregation/ring.h"
#include "coordinator/round/round_state.h"
#include "crypto/hash.h"
#include "crypto/statement.h"

namespace sotto::coordinator {

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

void Round::State::take(SiteIndex site, const wire::Keys& m) {
  auto& member = members[site.value()];
  const Turn now_is = turn(site, Phase::kKeys, member.keys.has_value());
  if (now_is == Turn::kDropped) return;
  const Bytes body = wire::body(m);
  if (now_is == Turn::kRepeated && body == wire::body(*member.keys) && m.signature == member.keys->signature)
    return repeat_request(site, Phase::kKeys);
  if (const auto ok = check_content(facts, site, m); !ok.ok()) return drop(site, "bad_keys", ok.error().message);
  if (const auto ok = check_signature(facts, site, m); !ok.ok()) return drop(site, "bad_signature", ok.error().message);
  if (now_is == Turn::kRepeated)
    return prove(site, "KEYS", crypto::with_signature(wire::body(*member.keys), member.keys->signature),
                 crypto::with_signature(body, m.signature));
  member.keys = m;
  member.declined = false;
  actions.push_back(Append{audit::SiteKeys{input.plan.run, input.round, attempt, site, crypto::sha256(body)}});
}

void Round::State::take(SiteIndex site, const wire::Shares& m) {
  auto& member = members[site.value()];
  const Turn now_is = turn(site, Phase::kShares, member.shares.has_value());
  if (now_is == Turn::kDropped) return;
  if (const auto ok = check_content(facts, site, m, key_sites); !ok.ok())
    return drop(site, "bad_shares", ok.error().message);
  const auto sealed_hashes = hashes_of(m.sealed);
  const Bytes body = wire::body(m, sealed_hashes);
  if (now_is == Turn::kRepeated) {
    const Bytes before = wire::body(*member.shares, member.sealed_hashes);
    if (body == before && m.signature == member.shares->signature) return repeat_request(site, Phase::kShares);
    if (const auto ok = check_signature(facts, site, m, sealed_hashes); !ok.ok())
      return drop(site, "bad_signature", ok.error().message);
    return prove(site, "SHARES", crypto::with_signature(before, member.shares->signature),
                 crypto::with_signature(body, m.signature));
  }
  if (const auto ok = check_signature(facts, site, m, sealed_hashes); !ok.ok())
    return drop(site, "bad_signature", ok.error().message);
  member.shares = m;
  member.sealed_hashes = sealed_hashes;
  actions.push_back(Append{audit::SiteShares{input.plan.run, input.round, attempt, site, crypto::sha256(body)}});
}

void Round::State::take(SiteIndex site, const wire::Report& m) {
  auto& member = members[site.value()];
  const Turn now_is = turn(site, Phase::kReport, member.masked.has_value());
  if (now_is == Turn::kDropped) return;
  if (const auto ok = check_content(facts, m, u1_digest); !ok.ok()) return drop(site, "bad_report", ok.error().message);
  const Digest masked = crypto::sha256(m.masked);
  if (now_is == Turn::kRepeated && masked == *member.masked && m.signature == member.report_signature)
    return repeat_request(site, Phase::kReport);
  if (const auto ok = check_signature(facts, site, m, masked); !ok.ok())
    return drop(site, "bad_signature", ok.error().message);
  if (now_is == Turn::kRepeated)
    return prove(
        site, "REPORTs",
        crypto::with_signature(wire::report_body(facts.context, u1_digest, *member.masked), member.report_signature),
        crypto::with_signature(wire::report_body(facts.context, u1_digest, masked), m.signature));
  const auto vector = aggregation::unpack_bits(m.masked, facts.update_size, facts.descriptor.ring.bits);
  if (!vector.ok()) return drop(site, "bad_report", vector.error().message);
  if (const auto added = sum->add(site, *vector); !added.ok()) return drop(site, "bad_report", added.error().message);
  member.masked = masked;
  member.report_signature = m.signature;
  actions.push_back(
      Append{audit::ReportReceived{input.plan.run, input.round, attempt, site, u1_digest, masked, m.signature}});
}

void Round::State::take(SiteIndex site, const wire::Confirm& m) {
  auto& member = members[site.value()];
  const Turn now_is = turn(site, Phase::kConfirm, member.confirm.has_value());
  if (now_is == Turn::kDropped) return;
  const Bytes body = wire::body(m);
  if (now_is == Turn::kRepeated && body == wire::body(*member.confirm) && m.signature == member.confirm->signature)
    return repeat_request(site, Phase::kConfirm);
  // Other survivors under a valid signature contradict the CONFIRM that came before.
  if (now_is == Turn::kRepeated && check_signature(facts, site, m).ok())
    return prove(site, "CONFIRMs", crypto::with_signature(wire::body(*member.confirm), member.confirm->signature),
                 crypto::with_signature(body, m.signature));
  if (const auto ok = check_content(facts, m, u1_digest, u3_digest); !ok.ok())
    return drop(site, "bad_confirm", ok.error().message);
  if (const auto ok = check_signature(facts, site, m); !ok.ok()) return drop(site, "bad_signature", ok.error().message);
  member.confirm = m;
  actions.push_back(
      Append{audit::ConfirmReceived{input.plan.run, input.round, attempt, site, u1_digest, u3_digest, m.signature}});
}

void Round::State::take(SiteIndex site, const wire::Unmask& m) {
  auto& member = members[site.value()];
  // t answers open the attempt; a further one was asked for and is not needed.
  if (phase > Phase::kUnmask && member.confirm && !member.unmask) return;
  const Turn now_is = turn(site, Phase::kUnmask, member.unmask.has_value());
  if (now_is == Turn::kDropped) return;
  const Bytes body = wire::body(m);
  if (now_is == Turn::kRepeated && body == wire::body(*member.unmask) && m.signature == member.unmask->signature)
    return repeat_request(site, Phase::kUnmask);
  if (const auto ok = check_content(m, u1_sites, u3); !ok.ok()) return drop(site, "bad_unmask", ok.error().message);
  if (const auto ok = check_signature(facts, site, m); !ok.ok()) return drop(site, "bad_signature", ok.error().message);
  if (now_is == Turn::kRepeated)
    return prove(site, "UNMASK answers", crypto::with_signature(wire::body(*member.unmask), member.unmask->signature),
                 crypto::with_signature(body, m.signature));
  std::vector<const wire::Shares*> dealt;
  for (const auto owner : u1_sites) dealt.push_back(&*members[owner.value()].shares);
  if (const auto ok = check_revealed(facts, site, m, dealt); !ok.ok()) {
    // The signed answer beside the owner's signed hashes is the proof; the shares of the others still open the attempt.
    actions.push_back(KeepProof{site, "bad_share", ok.error().message, crypto::with_signature(body, m.signature), {}});
    return drop(site, "bad_share", ok.error().message, true);
  }
  member.unmask = m;
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
