// The state machine of one round at the coordinator: KEYS -> SHARES -> REPORT -> CONFIRM -> UNMASK -> RESULT -> done, over
// as many attempts as the plan allows. Pure: events in, actions out, time as an argument; no socket, clock, thread or file.
// One object a round; not thread-safe. docs/protocol.md describes it in words.
//
// What the caller does for it:
//   - actions are carried out in their order, and an Append is on disk before the next action starts;
//   - after NewAttempt it appends what is outstanding, signs the newest head of its log and answers with Open{head};
//   - UnmaskJob and ServerStep are pure work: they may run on another thread and come back as Unmasked and Stepped;
//   - Tick comes at least once a second while the round is not over;
//   - after a crash it makes a new Round with first_attempt one above the last attempt that its log names, and with
//     `opened_before` set when its log shows that CONFIRMs were collected for the round: sites that may have answered UNMASK
//     answer for no other attempt, so such a round is voided.
//
// A phase ends when every site that is expected, present and willing has answered, or at its deadline. It then goes on with
// those who answered if they are at least tau (t in CONFIRM and UNMASK); otherwise a new attempt starts, or the round is
// void. Memory is O(parameters): masked vectors are added up as they arrive, and a REPORT that was added is in U3.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "audit/log/log_format.h"
#include "coordinator/round/unmask_job.h"
#include "crypto/signature.h"
#include "wire/messages.h"

namespace sotto::coordinator {

using TimePoint = std::chrono::steady_clock::time_point;

enum class Phase {
  kWaitingForHead,
  kKeys,
  kShares,
  kReport,
  kConfirm,
  kUnmask,
  kUnmasking,
  kServerStep,
  kResult,
  kDone,
  kVoid
};
const char* to_string(Phase phase);
template <class M>
struct Step;

struct RoundInput {
  RunPlan plan;  // validated against the roster
  Roster roster;
  RoundId round;
  AdapterLayout layout;
  Bytes adapter;        // encode(AdapterState) that the round starts from
  Digest transcript{};  // of all rounds before this one
  AttemptId first_attempt{1};
  bool opened_before = false;
};

// ---- events
struct Open {  // begins the first attempt, or the one that NewAttempt asked for
  wire::HeadBytes head;
};
struct FromSite {  // the sender is authenticated by the transport
  SiteIndex site;
  wire::ToCoordinator message;
};
struct SiteConnected {  // for the first time or again: it is sent what the current phase asks of it
  SiteIndex site;
};
struct SiteGone {  // its connection is dead: phases do not wait for it until it connects again
  SiteIndex site;
};
struct Tick {};
struct Unmasked {  // what run(UnmaskJob) returned
  Result<std::vector<std::uint32_t>> sum;
};
struct Stepped {
  Result<Bytes> adapter;  // encode(AdapterState) after the server step
};
using Event = std::variant<Open, FromSite, SiteConnected, SiteGone, Tick, Unmasked, Stepped>;

// ---- actions
struct Send {
  std::vector<SiteIndex> to;
  wire::ToSite message;
};
struct Append {
  audit::Event event;
};
// The message was not taken. The caller tells the site (wire::Rejected) and its running log; `excluded` says that the site
// takes no further part in this round.
struct Drop {
  SiteIndex site;
  std::string code;    // snake_case
  std::string reason;  // a sentence
  bool excluded = false;
};
// Two statements that no honest party signs both, or a signed one that contradicts itself: to be kept with the run.
struct KeepProof {
  SiteIndex against;
  std::string code;
  std::string reason;
  Bytes first;  // a body that a signature covers, followed by that signature
  Bytes second;
};
// The site lacks rounds: send it the RoundResult or RoundVoid of each round since the last that it accepted, then feed
// SiteConnected.
struct CatchUp {
  SiteIndex site;
};
struct CloseAttempt {
  AttemptId attempt;
  std::string reason;
};
struct NewAttempt {
  AttemptId attempt;
};
struct StartUnmask {
  UnmaskJob job;
};
struct StartServerStep {
  RoundId round;
  std::vector<SiteIndex> survivors;
  std::vector<std::uint32_t> sum;
};
// The result stands in the log: it may be published, stored and sent. `transcript` goes into the next round's descriptor.
struct Release {
  wire::RoundResult result;
  Digest transcript{};
};
struct VoidRound {
  wire::RoundVoid message;
  Digest transcript{};
};
struct Finished {
  std::vector<SiteIndex> accepted;  // sites that recomputed the step and took the adapter
};
using Action = std::variant<Send, Append, Drop, KeepProof, CatchUp, CloseAttempt, NewAttempt, StartUnmask, StartServerStep,
                            Release, VoidRound, Finished>;

class Round {
 public:
  // `coordinator_key` signs what sites are shown; its public key is the roster's, and it must outlive the round.
  Round(RoundInput input, const crypto::SigningKey& coordinator_key);
  Round(Round&&) noexcept;
  Round& operator=(Round&&) noexcept;
  ~Round();

  std::vector<Action> on(const Event& event, TimePoint now);

  Phase phase() const;
  AttemptId attempt() const;
  bool over() const { return phase() == Phase::kDone || phase() == Phase::kVoid; }
  // Sites that the current phase still waits for, for people who watch.
  std::vector<SiteIndex> waiting_for() const;
  // Whether a REPORT under this header, `bytes` long as it travels, is what the round waits for from this site.
  bool wants_report(SiteIndex site, const wire::RoundHeader& header, std::uint64_t bytes) const;

 private:
  struct State;
  friend const char* to_string(Phase phase);
  template <class M>
  friend struct Step;
  std::unique_ptr<State> state_;
};

}  // namespace sotto::coordinator
