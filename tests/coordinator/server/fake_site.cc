#include "tests/coordinator/server/fake_site.h"

#include <algorithm>

#include "aggregation/fedsvd.h"
#include "aggregation/ring.h"
#include "aggregation/server_step.h"
#include "audit/log/signed_head.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/overloaded.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "wire/codec.h"

namespace sotto {
namespace {

using namespace std::chrono_literals;

audit::EventLog open_log(const std::string& path) {
  auto log = audit::EventLog::open(path);
  SOTTO_CHECK(log.ok());
  return std::move(log).value();
}

}  // namespace

FakeSite::FakeSite(const std::string& folder, const std::string& name, std::uint64_t seed, AdapterLayout layout)
    : name_(name),
      random_(seed),
      identity_(crypto::SigningKey::random(random_)),
      transport_(wire::TransportKey::random(random_)),
      layout_(std::move(layout)),
      log_(open_log(folder + "/" + name + ".log")) {
  audit::SiteCreated created{name, identity(), {}};
  random_.fill(created.salt);
  SOTTO_CHECK(log_.append(created, wall_clock()).ok());
}

void FakeSite::join(const wire::Invite& invite, std::uint64_t declared_size) {
  invite_ = invite;
  declared_size_ = declared_size;
  connect();
}

void FakeSite::connect() {
  auto link = wire::DealerLink::connect(invite_->endpoint, invite_->transport, transport_);
  SOTTO_CHECK(link.ok());
  link_ = std::move(link).value();
}

wire::HeadBytes FakeSite::head() const { return audit::encode(audit::sign_head(log_.image(), name_, identity_)); }

void FakeSite::send(const wire::ToCoordinator& message) {
  if (link_) static_cast<void>(link_->send(wire::encode(message), 1000ms));
}

void FakeSite::step() {
  if (!link_) return;
  const auto event = link_->receive(5ms);
  if (!event) return;
  if (event->kind == wire::DealerEvent::Kind::kConnected) {
    if (joined && joined->accepted) return send(wire::Hello{name_, "test", head()});
    wire::Join m{name_, Bytes(invite_->token.begin(), invite_->token.end()), identity(), declared_size_, {}};
    m.signature = crypto::sign_statement(
        identity_, {wire::label_of(m), name_, {}, RoundId(0), AttemptId(0), {}, crypto::sha256(wire::body(m, transport()))});
    return send(m);
  }
  if (event->kind != wire::DealerEvent::Kind::kMessage) return;
  auto message = wire::decode_to_site(event->bytes);
  SOTTO_CHECK(message.ok());
  on(std::move(message).value());
}

void FakeSite::on(wire::ToSite message) {
  if (const auto* m = std::get_if<wire::JoinReply>(&message)) {
    joined = *m;
    if (m->accepted) send(wire::Hello{name_, "test", head()});
  } else if (const auto* w = std::get_if<wire::Welcome>(&message)) {
    welcome = *w;
  } else if (const auto* r = std::get_if<wire::Rejected>(&message)) {
    rejected.push_back(*r);
  } else if (const auto* offer = std::get_if<wire::RunOffer>(&message)) {
    approve(*offer);
  } else if (const auto* done = std::get_if<wire::RunFinished>(&message)) {
    finished = *done;
    SOTTO_CHECK(log_.append(audit::RunFinished{done->run, done->adapter}, wall_clock()).ok());
    send(wire::SiteRecord{done->run, read_binary_file(log_.path()).value(), head()});
  } else if (participant_) {
    feed(client::FromCoordinator{std::move(message)});
  }
}

void FakeSite::approve(const wire::RunOffer& offer) {
  plan_ = decode_plan(offer.plan).value();
  roster_ = decode_roster(offer.roster).value();
  const Roster& roster = roster_;
  if (refuse) return send(wire::RunRefusal{plan_->run, "the limit of this site is lower"});
  const Digest plan_hash = crypto::sha256(offer.plan);
  const Digest roster_hash = crypto::sha256(offer.roster);
  const auto place = std::ranges::find(roster.sites, name_, &RosterSite::name);
  self_ = SiteIndex(static_cast<std::uint32_t>(place - roster.sites.begin()));
  SOTTO_CHECK(
      log_.append(audit::RunApproved{plan_->run, plan_hash, roster_hash, offer.plan, offer.roster}, wall_clock()).ok());
  auto participant = client::Participant::create({*plan_, roster, self_, layout_, {}}, identity_, random_);
  SOTTO_CHECK(participant.ok());
  participant_ = std::move(participant).value();
  wire::RunApproval m{plan_->run, plan_hash, roster_hash, encode(layout_), head(), {}};
  m.signature = crypto::sign_statement(identity_, {wire::label_of(m), name_, plan_->run, RoundId(0), AttemptId(0),
                                                   roster_hash, crypto::sha256(wire::body(m))});
  send(m);
  feed(client::OwnHead{head()});
}

void FakeSite::say_hello_with_newer_head() {
  SOTTO_CHECK(log_.append(audit::ProgramRan{RunId("x"), "test", {}}, wall_clock()).ok());
  send(wire::Hello{name_, "test", head()});
}

void FakeSite::approve_again_with(const AdapterLayout& layout) {
  const Digest roster_hash = crypto::sha256(encode(roster_));
  wire::RunApproval m{plan_->run, crypto::sha256(encode(*plan_)), roster_hash, encode(layout), head(), {}};
  m.signature = crypto::sign_statement(identity_, {wire::label_of(m), name_, plan_->run, RoundId(0), AttemptId(0),
                                                   roster_hash, crypto::sha256(wire::body(m))});
  send(m);
}

void FakeSite::feed(client::Event event) {
  std::vector<client::Event> events;
  events.push_back(std::move(event));
  while (!events.empty()) {
    auto actions = participant_->on(std::move(events.front()));
    events.erase(events.begin());
    for (auto& action : actions) carry_out(action, events);
  }
}

void FakeSite::carry_out(client::Action& action, std::vector<client::Event>& next) {
  std::visit(
      Overloaded{
          [](client::Persist&) {},
          [&](client::Append& a) {
            Bytes bytes = audit::encode(a.event);
            bytes.push_back(static_cast<std::uint8_t>(audit::type_of(a.event)));
            if (std::ranges::find(logged_, bytes) != logged_.end()) return;
            logged_.push_back(bytes);
            SOTTO_CHECK(log_.append(a.event, wall_clock()).ok());
            next.emplace_back(client::OwnHead{head()});
          },
          [&](client::Send& a) {
            if (auto* accepted = std::get_if<wire::Accepted>(&a.message)) accepted->head = head();
            send(a.message);
          },
          [&](client::Train& a) {
            std::vector<float> change(layout_.trained_size(part_in_round(plan_->trained, a.descriptor.round)));
            for (auto& v : change) v = (static_cast<float>(random_.below(2001)) - 1000.0f) * 1e-5f;
            const auto ring = aggregation::Ring::make(plan_->ring, static_cast<std::uint32_t>(plan_->sites.size())).value();
            auto update = aggregation::quantize(change, aggregation::relative_weights(plan_->sites).at(self_.value()), ring);
            updates[a.descriptor.round.value()] = update;
            next.emplace_back(client::Trained{a.descriptor.round, std::move(update)});
          },
          [&](client::CheckInitial& a) {
            const auto expected = aggregation::initial_adapter(layout_, plan_->seed).value();
            const auto published = decode_adapter(a.adapter).value();
            const bool ok = aggregation::adapters_agree(expected, published).ok();
            next.emplace_back(client::AdapterChecked{crypto::sha256(a.adapter), ok, ok ? "" : "another first adapter"});
          },
          [&](client::CheckStep& a) {
            const auto ring = aggregation::Ring::make(plan_->ring, static_cast<std::uint32_t>(plan_->sites.size())).value();
            double total = 0;
            for (const auto site : a.survivors) total += aggregation::relative_weights(plan_->sites).at(site.value());
            const auto mean = aggregation::dequantize_mean(a.sum, total, ring);
            const auto expected =
                aggregation::server_step(*adapter, mean, aggregation::step_in_round(plan_->trained, a.round));
            const bool ok = expected.ok() && aggregation::adapters_agree(*expected, decode_adapter(a.adapter).value()).ok();
            if (ok) ++rounds_seen;
            next.emplace_back(client::AdapterChecked{crypto::sha256(a.adapter), ok, ok ? "" : "another step"});
          },
          [&](client::Accept& a) { adapter = decode_adapter(a.adapter).value(); }, [](client::KeepProof&) {},
          [&](client::Halt& a) { trouble = a.proof.reason; }},
      action);
}

}  // namespace sotto
