// The state machine of one site in one run: answers the coordinator's messages round after round and releases nothing that
// docs/protocol.md forbids. Pure: events in, actions out; no socket, clock, thread or file. One object for each run of a
// site; not thread-safe.
//
// What the caller does for it:
//   - actions are carried out in their order, each finished before the next one starts. Persist and Append are on disk
//     (fsynced) when they are finished: they come before the Send that they protect;
//   - Append is repeated after a restart, when a message is sent again: skip an event that the log has already.
//     audit::ReportSent goes through Ledger::note_report, everything else straight to the log;
//   - after every append that a head should cover, it gives the log's newest signed head as OwnHead, and fills in
//     Accepted.head;
//   - Train: reserve the round's budget (one that was made before a crash is the same one: nothing has left since), train,
//     quantise, answer Trained or TrainingRefused;
//   - CheckInitial, CheckStep: judge the published adapter, answer AdapterChecked;
//   - Accept: keep the adapter's bytes; later rounds start from them;
//   - Halt: the site takes no further part in the run, whatever arrives, until its operator has looked at the proof.
// After a restart: restore() from the last snapshot, check that it fits() the log, then wait. The coordinator asks again for
// whatever is owed.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "audit/log/log_format.h"
#include "crypto/secret.h"
#include "plan/round_descriptor.h"
#include "wire/messages.h"

namespace sotto::client {

// The site's own limits, which no coordinator can change.
struct ParticipantLimits {
  std::uint32_t min_sites = 2;      // fewest survivors (tau) it takes part with
  std::uint32_t min_colluders = 0;  // fewest colluders (c) it must be protected from
};

struct ParticipantConfig {
  RunPlan plan;          // as this site's operator approved it
  Roster roster;         // likewise
  SiteIndex self;        // in the roster
  AdapterLayout layout;  // from the site's own copy of the model
  ParticipantLimits limits;
  wire::HeadBytes coordinator_head{};  // the newest that the site's log holds, of earlier runs too; empty: none
};

// ---- events
struct FromCoordinator {
  wire::ToSite message;
};
struct OwnHead {
  wire::HeadBytes head;
};
struct Trained {
  RoundId round;
  std::vector<std::uint32_t> update;  // x_i: ring elements, noise included
};
struct TrainingRefused {
  RoundId round;
  std::string code;    // snake_case: "over_budget", ...
  std::string reason;  // a sentence made from plan and policy alone
};
struct AdapterChecked {
  Digest adapter{};  // SHA-256 of the bytes that were to be checked
  bool ok = false;
  std::string reason;
};
using Event = std::variant<FromCoordinator, OwnHead, Trained, TrainingRefused, AdapterChecked>;

// ---- actions
struct Persist {
  crypto::SecretBuffer snapshot;  // replaces the one before; file mode 0600
};
struct Append {
  audit::Event event;
};
struct Send {
  wire::ToCoordinator message;
};
struct Train {
  RoundDescriptor descriptor;
  Bytes adapter;  // encode(AdapterState) to start from
};
struct CheckInitial {  // is this the adapter that plan.seed gives for the layout, within the stated tolerance?
  Bytes adapter;
};
struct CheckStep {  // does the server step over this sum lead from `previous` to `adapter`?
  RoundId round;
  std::vector<SiteIndex> survivors;
  std::vector<std::uint32_t> sum;
  Bytes previous;
  Bytes adapter;
};
struct Accept {
  RoundId next_round;  // the round that starts from it
  Bytes adapter;
};
struct Proof {
  std::string code;    // snake_case
  std::string reason;  // a sentence
  Bytes first;         // bodies that signatures cover, each followed by its signature
  Bytes second;        // empty when one is proof enough
};
struct KeepProof {  // of another site's misconduct: the attempt is declined, the run may go on
  Proof proof;
};
struct Halt {
  Proof proof;
};
using Action = std::variant<Persist, Append, Send, Train, CheckInitial, CheckStep, Accept, KeepProof, Halt>;

class Participant {
 public:
  // Fails (kRefused) when the plan lies below the limits, and (kInvalid) when plan, roster, layout or identity do not fit
  // together. `identity` and `random` must outlive the participant.
  static Result<Participant> create(ParticipantConfig config, const crypto::SigningKey& identity, RandomSource& random);
  // The same, from the bytes of the last Persist. Fails (kInvalid) when they are damaged or belong to another run or site.
  static Result<Participant> restore(ParticipantConfig config, const crypto::SigningKey& identity, RandomSource& random,
                                     ByteSpan snapshot);
  Participant(Participant&&) noexcept;
  Participant& operator=(Participant&&) noexcept;
  ~Participant();

  std::vector<Action> on(Event event);
  crypto::SecretBuffer snapshot() const;
  // Whether the site's own log is no further than this snapshot. Ask it for every entry of the log after create() and
  // restore(): a snapshot that was lost, or restored from a backup, has forgotten messages that the log knows were sent.
  // Fails (kRefused).
  Result<void> fits(const audit::Event& logged) const;

  RoundId next_round() const;  // the round that has no result yet
  bool halted() const;

 private:
  struct State;
  explicit Participant(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::client
