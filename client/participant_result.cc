// The end of a round: the result that a site recomputes before it takes it, or none.
#include <algorithm>

#include "aggregation/ring.h"
#include "audit/statements.h"
#include "client/participant_impl.h"
#include "crypto/hash.h"

namespace sotto::client {

void Participant::State::take(wire::RoundResult& m) {
  const auto& h = m.header;
  if (h.run != facts.plan.run) return decline(h, "wrong_run", "this site approved run '" + facts.plan.run.value() + "', not this one");
  if (h.round < memory.next_round) {
    if (memory.last_accepted && memory.last_accepted->header.round == h.round) send_accepted();
    return;
  }
  if (h.round > memory.next_round || memory.adapter.empty())
    return decline(h, "behind", "this site has no result of the round before, or no first adapter");
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
      return halt(h, {"two_descriptors", "the coordinator signed a result under another descriptor than it opened the attempt with",
                      known->second, with_signature(wire::body(m), m.signature)});
  }
  if (memory.attempt && h == header()) {
    const auto& a = attempt();
    if ((!a.u1.empty() && m.u1 != a.u1) || (a.confirm && m.survivors != a.u3))
      return decline(h, "bad_result", "the result's sites are not those that this site saw in the attempt");
  }
  auto sum = aggregation::unpack_bits(m.sum, facts.update_size, d.ring.bits);
  if (!sum.ok()) return decline(h, "bad_result", sum.error().message);
  actions.push_back(CheckStep{h.round, m.survivors, std::move(*sum), memory.adapter, m.adapter});
  unjudged = std::move(m);
}

void Participant::State::handle(AdapterChecked& e) {
  if (unchecked && e.adapter == crypto::sha256(unchecked->adapter)) {
    const wire::RoundOpen m = std::move(*unchecked);
    unchecked.reset();
    const auto d = decode_descriptor(m.descriptor).value();
    if (!e.ok)
      return decline({d.run, d.round, d.attempt}, "bad_adapter", "the first adapter is not the one that the plan's seed gives: " + e.reason);
    memory.adapter = m.adapter;
    actions.push_back(Accept{memory.next_round, memory.adapter});
    join(m, d);
  } else if (unjudged && e.adapter == crypto::sha256(unjudged->adapter)) {
    const wire::RoundResult m = std::move(*unjudged);
    unjudged.reset();
    if (m.header.round != memory.next_round) return;
    if (e.ok) return accept(m);
    halt(m.header, {"false_step", "the published adapter is not the server step over the published sum: " + e.reason,
                    with_signature(wire::body(m), m.signature), {}});
  }
}

void Participant::State::leave_round() {
  memory.next_round = RoundId(memory.next_round.value() + 1);
  memory.seen.clear();
  memory.opened = false;
  memory.attempt.reset();
  memory.update.reset();
  training.reset();
  unchecked.reset();
  unjudged.reset();
}

void Participant::State::accept(const wire::RoundResult& m) {
  const auto& h = m.header;
  const RoundOutcome outcome{h.round, h.attempt, audit::u1_hash(m.u1), audit::u3_hash(m.survivors), crypto::sha256(m.sum),
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
  if (h.run != facts.plan.run) return decline(h, "wrong_run", "this site approved run '" + facts.plan.run.value() + "', not this one");
  if (h.round < memory.next_round) return;
  if (h.round > memory.next_round) return decline(h, "behind", "this site has no result of the round before");
  if (!coordinator_signed(facts, h, wire::label_of(m), wire::body(m), m.signature))
    return decline(h, "bad_signature", "the coordinator did not sign that this round is void");
  if (memory.attempt) append(audit::AttemptClosed{h.run, h.round, header().attempt, "the round is void: " + m.reason});
  leave_round();
  memory.transcript = crypto::sha256(void_transcript_preimage(memory.transcript, h.round));
  persist();
}

}  // namespace sotto::client
