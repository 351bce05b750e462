#include "coordinator/runs/run_history.h"

#include <algorithm>

#include "audit/log/statements.h"
#include "crypto/hash.h"

namespace sotto::coordinator {
namespace {

Error contradiction(const RunId& run, const std::string& what) {
  return invalid("the log contradicts itself about run '" + run.value() + "': " + what + "; restore the log from a backup");
}

}  // namespace

std::uint32_t RunHistory::rounds_over() const {
  const bool open = !rounds.empty() && rounds.back().state == RoundHistory::State::kOpen;
  return static_cast<std::uint32_t>(rounds.size()) - (open ? 1 : 0);
}

Result<History> History::replay(const audit::LogImage& log) {
  History history;
  for (const auto& record : log.records) {
    SOTTO_TRY(const auto event, audit::decode_event(record.type, record.payload));
    SOTTO_TRY_VOID(history.apply(event, record.time));
  }
  return history;
}

RunHistory* History::find_mutable(const RunId& run) {
  const auto found = std::ranges::find(runs_, run, &RunHistory::run);
  return found == runs_.end() ? nullptr : &*found;
}

const RunHistory* History::find(const RunId& run) const {
  const auto found = std::ranges::find(runs_, run, &RunHistory::run);
  return found == runs_.end() ? nullptr : &*found;
}

const audit::SignedHead* History::head_of(const std::string& site) const {
  const auto found = heads_.find(site);
  return found == heads_.end() ? nullptr : &found->second;
}

// The round that is open now, which must be the one that the entry speaks of.
Result<RoundHistory*> History::open_round(const RunId& run, RoundId round) {
  RunHistory* history = find_mutable(run);
  if (!history) return contradiction(run, "it was never submitted");
  if (history->finished || round.value() + 1 != history->rounds.size() ||
      history->rounds.back().state != RoundHistory::State::kOpen)
    return contradiction(run, "round " + std::to_string(round.value()) + " is not open");
  return &history->rounds.back();
}

Result<void> History::apply(const audit::Event& event, audit::Time time) {
  return std::visit(
      [&](const auto& e) -> Result<void> {
        if constexpr (requires { take(e, time); })
          return take(e, time);
        else
          return {};  // says nothing about a run
      },
      event);
}

Result<void> History::take(const audit::RunSubmitted& e, audit::Time time) {
  if (find(e.run)) return contradiction(e.run, "it was submitted twice");
  RunHistory run;
  run.run = e.run;
  SOTTO_TRY(run.plan, decode_plan(e.plan));
  SOTTO_TRY(run.roster, decode_roster(e.roster));
  SOTTO_TRY_VOID(validate(run.plan, run.roster));
  if (run.plan.run != e.run) return contradiction(e.run, "its plan is of another run");
  run.plan_hash = e.plan_hash;
  run.roster_hash = e.roster_hash;
  run.transcript = crypto::sha256(first_transcript_preimage(e.plan_hash, e.roster_hash));
  run.submitted = time;
  runs_.push_back(std::move(run));
  return {};
}

Result<void> History::take(const audit::AttemptOpened& e, audit::Time time) {
  RunHistory* run = find_mutable(e.run);
  if (!run) return contradiction(e.run, "it was never submitted");
  if (run->rounds_over() == e.round.value() && run->rounds.size() == e.round.value()) {
    run->rounds.emplace_back();
    run->rounds.back().opened = time;
  }
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  round->attempt = e.attempt;
  round->attempt_closed = false;
  return {};
}

Result<void> History::take(const audit::AttemptClosed& e, audit::Time) {
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  if (round->attempt == e.attempt) round->attempt_closed = true;
  return {};
}

Result<void> History::take(const audit::Survivors& e, audit::Time) {
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  round->u1 = e.u1;
  round->survivors = e.u3;
  return {};
}

Result<void> History::take(const audit::ConfirmReceived& e, audit::Time) {
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  round->confirmed = true;
  return {};
}

Result<void> History::take(const audit::RoundResult& e, audit::Time time) {
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  RunHistory* run = find_mutable(e.run);
  round->state = RoundHistory::State::kDone;
  round->adapter = e.adapter;
  round->closed = time;
  run->adapter = e.adapter;
  const RoundOutcome outcome{e.round, e.attempt, audit::u1_hash(round->u1), audit::u3_hash(e.survivors), e.sum, e.adapter};
  run->transcript = crypto::sha256(transcript_preimage(run->transcript, outcome));
  return {};
}

Result<void> History::take(const audit::RoundVoid& e, audit::Time time) {
  RunHistory* run = find_mutable(e.run);
  if (run && !run->finished && run->rounds.size() == e.round.value()) {  // void before its first attempt
    run->rounds.emplace_back();
    run->rounds.back().opened = time;
  }
  SOTTO_TRY(RoundHistory * round, open_round(e.run, e.round));
  round->state = RoundHistory::State::kVoid;
  round->reason = e.reason;
  round->closed = time;
  run->transcript = crypto::sha256(void_transcript_preimage(run->transcript, e.round));
  return {};
}

Result<void> History::take(const audit::RunFinished& e, audit::Time time) {
  RunHistory* run = find_mutable(e.run);
  if (!run || run->finished) return contradiction(e.run, "it ended without having begun");
  run->finished = true;
  run->ended = time;
  return {};
}

Result<void> History::take(const audit::HeadSeen& e, audit::Time) {
  SOTTO_TRY(auto head, audit::decode_head(e.head));
  heads_[head.party] = std::move(head);
  return {};
}

}  // namespace sotto::coordinator
