// A whole federation in one thread: n Participants and one Round at a time, with a network that delivers in order and can
// lose, change or delay messages, sites that can be killed at any message and restored from their last snapshot, and a clock
// that only moves when nothing else does. Every message goes through the codec. What no honest site may ever do is checked
// after each of its actions (`require_honest`).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "audit/log/merkle.h"
#include "client/protocol/participant.h"
#include "coordinator/round/round.h"
#include "tests/support/fixed_random.h"

namespace sotto {

struct SimulatorOptions {
  std::uint32_t sites = 3;
  std::uint32_t colluders = 1;
  std::uint32_t min_sites = 0;  // 0: t
  std::uint32_t max_attempts = 3;
  std::uint32_t bits = 24;
  std::uint64_t seed = 1;
};

class Simulator {
 public:
  explicit Simulator(SimulatorOptions options);

  // ---- how the world behaves; each may be replaced at any time
  // A message on its way to a site: change it, or return false to lose it.
  std::function<bool(SiteIndex, wire::ToSite&)> to_site = [](SiteIndex, wire::ToSite&) { return true; };
  // A message that a site's Send is about to put on the network: the same. May call kill().
  std::function<bool(SiteIndex, wire::ToCoordinator&)> to_coordinator = [](SiteIndex, wire::ToCoordinator&) { return true; };
  // Before a site carries out an action: false kills it right there.
  std::function<bool(SiteIndex, const client::Action&)> before_action = [](SiteIndex, const client::Action&) {
    return true;
  };
  // Whether a site's ledger lets it train.
  std::function<bool(SiteIndex)> may_train = [](SiteIndex) { return true; };
  // What a site's training gives, before it is masked.
  std::function<void(SiteIndex, std::vector<std::uint32_t>&)> trained = [](SiteIndex, std::vector<std::uint32_t>&) {};
  // What the coordinator publishes after the server step.
  std::function<Bytes(Bytes)> publish = [](Bytes adapter) { return adapter; };
  // Nothing is left to do and the deadline is about to pass; return true when something was changed instead.
  std::function<bool()> when_idle = [] { return false; };

  void kill(SiteIndex site);
  void restart(SiteIndex site);
  bool alive(SiteIndex site) const { return sites_[site.value()].participant.has_value(); }

  // ---- rounds
  // Runs the next round to its end (result or void).
  void run_round();
  // Makes a fresh Round for the round that is running, as a coordinator does after a crash.
  void crash_coordinator(bool opened_before);

  // ---- what happened
  struct Outcome {
    bool is_void = false;
    AttemptId attempt;
    std::vector<SiteIndex> survivors;
    std::vector<SiteIndex> u1;
    std::vector<std::uint32_t> sum;
    std::string reason;
    std::vector<SiteIndex> accepted;
  };
  std::vector<Outcome> outcomes;  // by round
  // x_i of a site in a round; empty when it did not train.
  std::vector<std::uint32_t> update_of(SiteIndex site, RoundId round) const;
  std::vector<std::uint32_t> expected_sum(const std::vector<SiteIndex>& survivors, RoundId round) const;
  std::vector<wire::Declined> declined(SiteIndex site) const { return sites_[site.value()].declined; }
  bool has_declined(SiteIndex site, const std::string& code) const;
  std::vector<client::Proof> halts(SiteIndex site) const { return sites_[site.value()].halts; }
  std::vector<client::Proof> proofs(SiteIndex site) const { return sites_[site.value()].proofs; }
  std::size_t messages_sent(SiteIndex site) const {
    return sites_[site.value()].sent.size();
  }  // different ones, but Declined
  std::vector<coordinator::Drop> drops;
  std::vector<coordinator::KeepProof> round_proofs;
  std::vector<std::pair<SiteIndex, wire::ToCoordinator>> frames;  // all that the coordinator received
  std::vector<Bytes> frame_bytes;
  std::size_t trainings(SiteIndex site, RoundId round) const;
  const std::vector<audit::Event>& log_of(SiteIndex site) const { return sites_[site.value()].log; }
  const std::vector<audit::Event>& coordinator_log() const { return coordinator_log_; }
  void rewrite_coordinator_log(std::vector<audit::Event> log) { coordinator_log_ = std::move(log); }

  // ---- for attackers
  client::Participant& participant(SiteIndex site) { return *sites_[site.value()].participant; }
  // Gives a site an event and carries out what it answers; returns what it sent.
  std::vector<wire::ToCoordinator> feed(SiteIndex site, client::Event event);
  const RunPlan& plan() const { return plan_; }
  const Roster& roster() const { return roster_; }
  const AdapterLayout& layout() const { return layout_; }
  const crypto::SigningKey& coordinator_key() const { return *coordinator_key_; }
  const crypto::SigningKey& identity(SiteIndex site) const { return *sites_[site.value()].identity; }
  client::ParticipantConfig config_of(SiteIndex site) const;
  Bytes snapshot_of(SiteIndex site) const { return sites_[site.value()].snapshot; }
  coordinator::Round* round() { return round_ ? &*round_ : nullptr; }
  // The server step of this world: B += mean of the updates.
  Bytes step(const Bytes& adapter, const std::vector<std::uint32_t>& sum, std::size_t survivors) const;
  // Signs a body as the coordinator does.
  SignatureBytes sign_as_coordinator(const wire::RoundHeader& header, const char* label, ByteSpan body) const;
  template <class M>
  void sign(const wire::RoundHeader& header, M& m) const {
    m.signature = sign_as_coordinator(header, wire::label_of(m), wire::body(m));
  }
  wire::HeadBytes head_of_coordinator(std::uint64_t size, std::uint8_t root) const;
  wire::HeadBytes head_of_coordinator(const std::vector<audit::Event>& log) const;
  static audit::MerkleTree tree_of(const std::vector<audit::Event>& log);
  // A RoundOpen for a descriptor, with the adapter that the next round starts from, signed by the coordinator.
  wire::RoundOpen opening(const RoundDescriptor& d, const wire::HeadBytes& head) const;
  void give_to_coordinator(SiteIndex site, wire::ToCoordinator message);

 private:
  struct Site {
    std::unique_ptr<crypto::SigningKey> identity;
    std::unique_ptr<FixedRandom> random;
    std::optional<client::Participant> participant;
    Bytes snapshot;
    std::vector<audit::Event> log;
    std::set<Digest> logged;  // hashes of what the log holds
    std::vector<wire::Declined> declined;
    std::vector<client::Proof> halts;
    std::vector<client::Proof> proofs;
    std::map<RoundId, std::vector<std::uint32_t>> updates;
    std::map<RoundId, std::size_t> trainings;
    // for require_honest
    std::set<Digest> sent;
    std::map<Digest, Bytes> report_of_ctx;
    std::map<Digest, Bytes> confirm_of_ctx;
    std::map<std::pair<RoundId, SiteIndex>, wire::SecretKind> revealed;
    std::map<RoundId, AttemptId> opened;
  };

  void feed_and_queue(SiteIndex site, client::Event event);
  void carry_out(SiteIndex site, std::vector<client::Action> actions, std::vector<wire::ToCoordinator>* sent);
  void require_honest(SiteIndex site, const wire::ToCoordinator& message, bool appended);
  wire::HeadBytes own_head(SiteIndex site) const;
  coordinator::Open open_attempt();
  void prove_head(SiteIndex site, const wire::FetchHeadProof& m);
  void on_round(coordinator::Event event);
  void carry_out(std::vector<coordinator::Action> actions);
  void make_round(AttemptId first, bool opened_before);
  bool deliver_one();

  SimulatorOptions options_;
  std::unique_ptr<crypto::SigningKey> coordinator_key_;
  RunPlan plan_;
  Roster roster_;
  AdapterLayout layout_;
  Bytes initial_adapter_;
  Bytes adapter_;
  Digest transcript_{};
  RoundId round_id_;
  std::vector<Site> sites_;
  std::optional<coordinator::Round> round_;
  std::uint64_t head_size_ = 0;  // of the head that the present attempt names
  std::vector<audit::Event> coordinator_log_;
  std::vector<wire::ToSite> history_;  // what a site that was away is sent, in order
  coordinator::TimePoint now_{};
  std::deque<std::pair<SiteIndex, wire::ToSite>> to_sites_;
  std::deque<std::pair<SiteIndex, wire::ToCoordinator>> to_coordinator_;
  std::deque<coordinator::Event> work_;  // unmasking and server steps that have come back
};

}  // namespace sotto
