// Inside of Round: its state, the handlers of messages (round_messages.cc), the table of phases (round_phases.cc) and their
// course (round.cc). Not for others.
#pragma once

#include <concepts>

#include "coordinator/round/round.h"
#include "coordinator/round/round_checks.h"

namespace sotto::coordinator {

// What one site has sent in the present attempt.
struct Member {
  bool declined = false;
  bool caught_up = false;  // it was sent what it missed
  std::optional<wire::Keys> keys;
  std::optional<wire::Shares> shares;
  std::vector<Digest> sealed_hashes;  // of its SHARES
  std::optional<Digest> masked;       // H(y_i): the vector itself is in the sum already
  SignatureBytes report_signature{};
  std::optional<wire::Confirm> confirm;
  std::optional<wire::Unmask> unmask;
  bool accepted = false;
};

template <class M>
struct Step;  // what a phase's answer is checked and kept by (round_messages.cc)

template <class M>
concept AnswersPhase = std::same_as<M, wire::Keys> || std::same_as<M, wire::Shares> || std::same_as<M, wire::Report> ||
                       std::same_as<M, wire::Confirm> || std::same_as<M, wire::Unmask>;

struct Round::State {
  State(RoundInput in, const crypto::SigningKey& coordinator_key);

  // ---- fixed for the round
  RoundInput input;
  const crypto::SigningKey* key;
  std::uint32_t n;
  std::uint32_t t;
  std::uint32_t tau;
  Digest roster_digest{};
  std::vector<bool> gone;
  std::vector<bool> excluded;

  // ---- of the present attempt
  Phase phase = Phase::kWaitingForHead;
  AttemptId attempt;
  TimePoint deadline{};
  AttemptFacts facts;
  Bytes descriptor;
  wire::RoundOpen open;
  std::vector<Member> members;
  std::vector<SiteIndex> key_sites;  // of the key list
  std::vector<CohortMember> u1;
  std::vector<SiteIndex> u1_sites;
  Digest u1_digest{};
  std::optional<aggregation::MaskedSum> sum;
  std::vector<SiteIndex> u3;
  Digest u3_digest{};
  std::vector<std::uint32_t> unmasked;
  wire::RoundResult result;

  // ---- of the event being handled
  TimePoint now{};
  std::vector<Action> actions;

  // events (round.cc)
  void handle(const Open& e);
  void handle(const FromSite& e);
  void handle(const SiteConnected& e);
  void handle(const SiteGone& e);
  void handle(const Tick&) {}
  void handle(const Unmasked& e);
  void handle(const Stepped& e);
  // messages (round_messages.cc)
  template <class M>
    requires AnswersPhase<M>  // KEYS to UNMASK
  void take(SiteIndex site, const M& m);
  void take(SiteIndex site, const wire::Accepted& m);
  void take(SiteIndex site, const wire::Declined& m);

  // the course of phases (round.cc)
  void advance();
  void begin(Phase next);
  void finish_phase();
  void end_round();
  void close_attempt(const std::string& reason);
  void make_void(const std::string& reason);
  void begin_shares();
  void begin_report();
  void begin_confirm();
  void begin_unmask();
  void begin_unmasking();

  // One phase: a row without `asks` waits for no site, and its other members are empty.
  struct PhaseRow {
    const char* name;
    bool (*asks)(const State&, SiteIndex) = nullptr;
    bool (*answered)(const State&, SiteIndex) = nullptr;
    std::size_t (*quorum)(const State&) = nullptr;
    wire::ToSite (State::*request)(SiteIndex) const = nullptr;
    void (State::*finish)() = nullptr;
  };
  static const PhaseRow& row(Phase phase);
  wire::ToSite ask_keys(SiteIndex site) const;
  wire::ToSite ask_shares(SiteIndex site) const;
  wire::ToSite ask_report(SiteIndex site) const;
  wire::ToSite ask_confirm(SiteIndex site) const;
  wire::ToSite ask_unmask(SiteIndex site) const;
  wire::ToSite ask_result(SiteIndex site) const;

  const Member& member(SiteIndex site) const { return members[site.value()]; }
  bool expected(SiteIndex site) const;  // does the phase ask this site for something?
  bool answered(SiteIndex site) const;
  bool willing(SiteIndex site) const;
  std::size_t quorum() const;
  std::vector<SiteIndex> everyone() const;
  bool no_result_before() const;
  std::optional<wire::ToSite> request_for(SiteIndex site) const;  // what the phase asks of the site
  wire::RoundHeader header() const { return {input.plan.run, input.round, attempt}; }
  SignatureBytes sign(const char* label, ByteSpan body) const;

  // helpers of the handlers (round_messages.cc)
  enum class Turn { kTake, kDropped, kRepeated };
  bool header_fits(SiteIndex site, const wire::RoundHeader& h);
  void drop(SiteIndex site, std::string code, std::string reason, bool exclude = false);
  void prove(SiteIndex site, const char* what, Bytes first, Bytes second);
  // Whether a message of `phase_of_message` from an expected site is to be looked at, is late, or is too early.
  Turn turn(SiteIndex site, Phase phase_of_message, bool sent_before);
  void repeat_request(SiteIndex site, Phase phase_of_message);
};

}  // namespace sotto::coordinator
