// The end of a round: the result that a site recomputes before it takes it, or none.
#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "client/protocol/participant_impl.h"
#include "crypto/hash.h"
#include "crypto/statement.h"

namespace sotto::client {

void Participant::State::take(wire::RoundResult& m) {
  const auto& h = m.header;
  if (h.run != facts.plan.run)
    return decline(h, "wrong_run", "this site approved run '" + facts.plan.run.value() + "', not this one");
  if (h.round < memory.next_round) {
    if (memory.last_accepted && memory.last_accepted->header.round == h.round) send_accepted();
    return;
  }
  if (h.round > memory.next_round) return decline(h, "behind", "this site has no result of the round before");
  const auto decoded = decode_descriptor(m.descriptor);
  if (!decoded.ok()) return decline(h, "bad_descriptor", decoded.error().message);
  const auto& d = *decoded;
  if (wire::RoundHeader{d.run, d.round, d.attempt} != h)
    return decline(h, "bad_result", "the result's descriptor is of another round or attempt than its header");
  if (const auto refusal = judge_descriptor(d)) return decline(h, *refusal);
  if (const auto refusal = check_result(facts, d, m)) return decline(h, *refusal);
  if (const auto known = memory.seen.find(d.attempt); known != memory.seen.end()) {
    const auto shown = ByteSpan(known->second).first(known->second.size() - m.signature.size());
    if (!std::ranges::equal(shown, m.descriptor))
      return halt(
          h, {"two_descriptors", "the coordinator signed a result under another descriptor than it opened the attempt with",
              known->second, crypto::with_signature(wire::body(m), m.signature)});
  }
  if (memory.attempt && h == header()) {
    const auto& a = attempt();
    if ((!a.u1.empty() && m.u1 != a.u1) || (a.confirm && m.survivors != a.u3))
      return decline(h, "bad_result", "the result's sites are not those that this site saw in the attempt");
  }
  auto sum = aggregation::unpack_bits(m.sum, facts.update_size(d.round), d.ring.bits);
  if (!sum.ok()) return decline(h, "bad_result", sum.error().message);
  const auto ring = aggregation::Ring::make(facts.plan.ring, facts.n());
  if (!ring.ok()) return decline(h, "bad_result", ring.error().message);
  // An honest coordinator voids such a round.
  if (const auto possible = aggregation::check_sum(*sum, m.survivors.size(), *ring); !possible.ok())
    return halt(h, {"impossible_sum",
                    "the coordinator published a sum that it had to refuse: " + possible.error().message,
                    crypto::with_signature(wire::body(m), m.signature),
                    {}});
  if (memory.adapter.empty()) {  // this site has seen no round of the run: it judges the first adapter first
    if (crypto::sha256(m.start) != d.adapter)
      return decline(h, "bad_adapter", "the result does not come with the adapter that it started from");
    actions.push_back(CheckInitial{m.start});
    unjudged = std::move(m);
    return;
  }
  actions.push_back(CheckStep{h.round, m.survivors, std::move(*sum), memory.adapter, m.adapter});
  unjudged = std::move(m);
}

void Participant::State::handle(AdapterChecked& e) {
  if (unchecked && e.adapter == crypto::sha256(unchecked->adapter)) {
    const wire::RoundOpen m = std::move(*unchecked);
    unchecked.reset();
    const auto d = decode_descriptor(m.descriptor).value();
    if (!e.ok)
      return decline({d.run, d.round, d.attempt}, "bad_adapter",
                     "the first adapter is not the one that the plan gives: " + e.reason);
    memory.adapter = m.adapter;
    actions.push_back(Accept{memory.next_round, memory.adapter});
    join(m, d);
  } else if (unjudged && memory.adapter.empty() && e.adapter == crypto::sha256(unjudged->start)) {
    wire::RoundResult m = std::move(*unjudged);
    unjudged.reset();
    if (!e.ok) return decline(m.header, "bad_adapter", "the first adapter is not the one that the plan gives: " + e.reason);
    memory.adapter = m.start;
    actions.push_back(Accept{memory.next_round, memory.adapter});
    take(m);
  } else if (unjudged && !memory.adapter.empty() && e.adapter == crypto::sha256(unjudged->adapter)) {
    const wire::RoundResult m = std::move(*unjudged);
    unjudged.reset();
    if (m.header.round != memory.next_round) return;
    if (e.ok) return accept(m);
    halt(m.header, {"false_step",
                    "the published adapter is not the server step over the published sum: " + e.reason,
                    crypto::with_signature(wire::body(m), m.signature),
                    {}});
  }
}

void Participant::State::leave_round() {
  memory.next_round = RoundId(memory.next_round.value() + 1);
  memory.seen.clear();
  memory.opened = false;
  memory.attempt.reset();
  memory.update.reset();
  training.reset();
  unproven.reset();
  unchecked.reset();
  unjudged.reset();
}

void Participant::State::accept(const wire::RoundResult& m) {
  const auto& h = m.header;
  const RoundOutcome outcome{h.round,
                             h.attempt,
                             audit::u1_hash(m.u1),
                             audit::u3_hash(m.survivors),
                             crypto::sha256(m.sum),
                             crypto::sha256(m.adapter)};
  leave_round();
  memory.transcript = crypto::sha256(transcript_preimage(memory.transcript, outcome));
  memory.adapter = m.adapter;
  memory.last_accepted = wire::Accepted{h, outcome.adapter, {}};
  memory.last_result = audit::ResultAccepted{h.run, h.round, h.attempt, outcome.sum, outcome.adapter};
  actions.push_back(Accept{memory.next_round, memory.adapter});
  persist();
  send_accepted();
}

void Participant::State::send_accepted() {
  append(*memory.last_result);
  send(*memory.last_accepted);
}

void Participant::State::take(wire::RoundVoid& m) {
  const auto& h = m.header;
  if (h.run != facts.plan.run)
    return decline(h, "wrong_run", "this site approved run '" + facts.plan.run.value() + "', not this one");
  if (h.round < memory.next_round) return;
  if (h.round > memory.next_round) return decline(h, "behind", "this site has no result of the round before");
  if (!coordinator_signed(facts, h, wire::label_of(m), wire::body(m), m.signature))
    return decline(h, "bad_signature", "the coordinator did not sign that this round is void");
  if (memory.attempt) append(audit::AttemptClosed{h.run, h.round, header().attempt, "the round is void: " + m.reason});
  leave_round();
  memory.transcript = crypto::sha256(void_transcript_preimage(memory.transcript, h.round));
  persist();
}

// ---- the log beside the snapshot

namespace {

// Whether the message that a log entry tells of is the one that the snapshot holds for the same attempt.
bool holds(const AttemptState& a, const audit::KeysSent& e) { return crypto::sha256(wire::body(a.keys)) == e.body; }
bool holds(const AttemptState& a, const audit::SharesSent& e) { return a.shares && shares_digest(*a.shares) == e.body; }
bool holds(const AttemptState& a, const audit::ReportSent& e) { return a.report && crypto::sha256(a.report->masked) == e.y; }
bool holds(const AttemptState& a, const audit::ConfirmSigned& e) { return a.confirm && a.confirm->u3 == e.u3; }
bool holds(const AttemptState& a, const audit::UnmaskAnswered& e) {
  return a.unmask && crypto::sha256(wire::body(*a.unmask)) == e.body;
}

}  // namespace

Result<void> Participant::fits(const audit::Event& logged) const {
  const auto& memory = state_->memory;
  const auto forgotten = [&](const auto& e) {
    return refused("this site's state of run '" + e.run.value() + "' is older than its log, which says '" +
                   audit::name_of(e.kType) + "' for attempt " + std::to_string(e.attempt.value()) + " of round " +
                   std::to_string(e.round.value()) +
                   ": the state was lost or restored from a backup. The site cannot go on with this run");
  };
  return std::visit(
      [&](const auto& e) -> Result<void> {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, audit::ResultAccepted>) {
          if (e.run == state_->facts.plan.run && e.round >= memory.next_round) return forgotten(e);
        } else if constexpr (requires(const AttemptState& a) { holds(a, e); }) {
          if (e.run != state_->facts.plan.run || e.round < memory.next_round) return {};
          if (e.round > memory.next_round || !memory.seen.contains(e.attempt)) return forgotten(e);
          // What an attempt that was closed since had sent is not kept; but none that was opened is ever closed by a later
          // one.
          const bool current = memory.attempt && memory.attempt->descriptor.attempt == e.attempt;
          if (current ? !holds(*memory.attempt, e) : std::is_same_v<E, audit::UnmaskAnswered>) return forgotten(e);
        }
        return {};
      },
      logged);
}

}  // namespace sotto::client
