// What the coordinator's log says about its runs, replayed entry by entry: the truth from which a restarted coordinator goes
// on, and from which the index is filled. Plain values; one thread.
#pragma once

#include <map>
#include <vector>

#include "audit/log/event_log.h"
#include "audit/log/signed_head.h"

namespace sotto::coordinator {

struct RoundHistory {
  enum class State { kOpen, kDone, kVoid };
  State state = State::kOpen;
  AttemptId attempt{0};  // the last that was opened
  bool attempt_closed = false;
  bool confirmed = false;        // CONFIRMs of any attempt stand in the log: UNMASK may have been answered
  std::vector<CohortMember> u1;  // of the last attempt that came so far
  std::vector<SiteIndex> survivors;
  Digest adapter{};    // of kDone
  std::string reason;  // of kVoid
  audit::Time opened{};
  audit::Time closed{};
};

struct RunHistory {
  RunId run;
  RunPlan plan;
  Roster roster;
  Digest plan_hash{};
  Digest roster_hash{};
  std::vector<RoundHistory> rounds;  // by number; only the last may be open
  Digest transcript{};               // of all rounds that are over
  std::optional<Digest> adapter;     // of the newest result
  bool finished = false;
  audit::Time submitted{};
  audit::Time ended{};

  std::uint32_t rounds_over() const;  // done or void: the number of the round to go on with
  bool stopped() const { return finished && rounds_over() < plan.rounds; }
};

class History {
 public:
  // Fails on an entry that contradicts those before it: this coordinator's own log is damaged or another's.
  static Result<History> replay(const audit::LogImage& log);
  Result<void> apply(const audit::Event& event, audit::Time time);

  const std::vector<RunHistory>& runs() const { return runs_; }  // in order of submission
  const RunHistory* find(const RunId& run) const;
  // The newest head of a site that the log holds.
  const audit::SignedHead* head_of(const std::string& site) const;

 private:
  Result<void> take(const audit::RunSubmitted& e, audit::Time time);
  Result<void> take(const audit::AttemptOpened& e, audit::Time time);
  Result<void> take(const audit::AttemptClosed& e, audit::Time time);
  Result<void> take(const audit::Survivors& e, audit::Time time);
  Result<void> take(const audit::ConfirmReceived& e, audit::Time time);
  Result<void> take(const audit::RoundResult& e, audit::Time time);
  Result<void> take(const audit::RoundVoid& e, audit::Time time);
  Result<void> take(const audit::RunFinished& e, audit::Time time);
  Result<void> take(const audit::HeadSeen& e, audit::Time time);
  Result<RoundHistory*> open_round(const RunId& run, RoundId round);
  RunHistory* find_mutable(const RunId& run);
  std::vector<RunHistory> runs_;
  std::map<std::string, audit::SignedHead> heads_;
};

}  // namespace sotto::coordinator
