// A site without model and data: the real link, state machine and event log, and updates that are made up. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/log/event_log.h"
#include "client/protocol/participant.h"
#include "crypto/signature.h"
#include "tests/support/fixed_random.h"
#include "wire/invite.h"
#include "wire/link.h"

namespace sotto {

class FakeSite {
 public:
  FakeSite(const std::string& folder, const std::string& name, std::uint64_t seed, AdapterLayout layout);

  // Enrols with an invite code; the answer is in `joined`.
  void join(const wire::Invite& invite, std::uint64_t declared_size);
  void connect();
  void disconnect() { link_.reset(); }
  // As no honest site does: a longer log that nobody asked for, and another layout for a run that it approved.
  void say_hello_with_newer_head();
  void approve_again_with(const AdapterLayout& layout);
  // Handles what arrives within a few milliseconds.
  void step();

  bool refuse = false;  // says no to every offer
  std::optional<wire::JoinReply> joined;
  std::vector<wire::Rejected> rejected;
  std::optional<wire::Welcome> welcome;
  std::optional<wire::RunFinished> finished;
  std::map<std::uint32_t, std::vector<std::uint32_t>> updates;  // x_i by round
  std::optional<AdapterState> adapter;                          // last accepted
  std::uint32_t rounds_seen = 0;                                // results accepted
  std::string trouble;                                          // a halt's reason
  const std::string& name() const { return name_; }
  PublicKeyBytes identity() const { return crypto::verify_key(identity_).value(); }
  PublicKeyBytes transport() const { return wire::transport_public_key(transport_); }

 private:
  void on(wire::ToSite message);
  void approve(const wire::RunOffer& offer);
  void feed(client::Event event);
  void carry_out(client::Action& action, std::vector<client::Event>& next);
  void send(const wire::ToCoordinator& message);
  wire::HeadBytes head() const;

  std::string name_;
  FixedRandom random_;
  crypto::SigningKey identity_;
  wire::TransportKey transport_;
  AdapterLayout layout_;
  audit::EventLog log_;
  std::optional<wire::Invite> invite_;
  std::uint64_t declared_size_ = 0;
  std::optional<wire::DealerLink> link_;
  std::optional<RunPlan> plan_;
  Roster roster_;
  SiteIndex self_;
  std::optional<client::Participant> participant_;
  std::vector<Bytes> logged_;
};

}  // namespace sotto
