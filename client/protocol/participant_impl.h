// Inside of Participant: the handlers of messages, by file: opening and keys (participant.cc), shares to UNMASK
// (participant_round.cc), results (participant_result.cc). Not for others.
#pragma once

#include "client/protocol/participant_checks.h"
#include "client/protocol/participant_state.h"

namespace sotto::client {

struct Participant::State {
  RunFacts facts;
  const crypto::SigningKey* identity = nullptr;
  RandomSource* random = nullptr;
  Digest owner{};
  RunMemory memory;

  // Lost in a crash, and then asked for again.
  wire::HeadBytes own_head;
  std::optional<RoundDescriptor> training;    // Train was asked for, under this descriptor
  std::optional<wire::RoundOpen> unproven;    // until its head was proven to continue the last one
  std::optional<wire::RoundOpen> unchecked;   // round 0, until its adapter was checked
  std::optional<wire::RoundResult> unjudged;  // until the server step was checked

  std::vector<Action> actions;  // of the event being handled

  void handle(FromCoordinator& e);
  void handle(OwnHead& e) { own_head = std::move(e.head); }
  void handle(Trained& e);
  void handle(TrainingRefused& e);
  void handle(AdapterChecked& e);

  // participant.cc
  void take(wire::RoundOpen& m);
  void take(wire::HeadProof& m);
  void take(wire::KeyList& m);
  // participant_round.cc
  void take(wire::ShareList& m);
  void take(wire::ConfirmRequest& m);
  void take(wire::UnmaskRequest& m);
  // participant_result.cc
  void take(wire::RoundResult& m);
  void take(wire::RoundVoid& m);

  // participant.cc
  RoundDescriptor expected_descriptor(RoundId round, const Digest& adapter) const;
  Verdict judge_descriptor(const RoundDescriptor& d) const;
  Verdict judge_opening(const wire::RoundOpen& m, const RoundDescriptor& d) const;
  bool shown_before(const wire::RoundOpen& m, const RoundDescriptor& d);
  void check_or_join(wire::RoundOpen m);
  void know(wire::HeadBytes head);
  void join(const wire::RoundOpen& m, const RoundDescriptor& d);
  Result<wire::Shares> deal();
  void send_keys();
  void send_shares();
  // participant_round.cc
  Result<std::vector<HeldShares>> open_shares(const wire::ShareList& m, std::vector<wire::HeadBytes>& heads,
                                              Verdict& verdict);
  Verdict judge_heads(SiteIndex from, const wire::HeadBytes& theirs, const wire::HeadBytes& coordinators);
  void report_or_train();
  void make_report();
  void send_report();
  void send_confirm();
  void send_unmask();
  // participant_result.cc
  void accept(const wire::RoundResult& m);
  void leave_round();
  void send_accepted();

  // Whether a message belongs to the attempt that this site is in; declines otherwise.
  bool in_attempt(const wire::RoundHeader& header);
  bool repeated_keys(const wire::KeyList& m);
  AttemptState& attempt() { return *memory.attempt; }
  wire::RoundHeader header() const;
  SignatureBytes sign(const wire::RoundHeader& h, const char* label, ByteSpan body) const;
  void persist() { actions.push_back(Persist{encode(memory, owner)}); }
  void append(audit::Event event) { actions.push_back(Append{std::move(event)}); }
  void send(wire::ToCoordinator message) { actions.push_back(Send{std::move(message)}); }
  void decline(const wire::RoundHeader& h, std::string code, std::string reason);
  void decline(const wire::RoundHeader& h, Refusal refusal) {
    decline(h, std::move(refusal.code), std::move(refusal.reason));
  }
  void abandon(Proof proof);                           // the attempt, over another site's misconduct
  void halt(const wire::RoundHeader& h, Proof proof);  // the run, over the coordinator's
};

}  // namespace sotto::client
