#include "tests/coordinator/round/simulator.h"

#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/signed_head.h"
#include "audit/log/statements.h"
#include "base/overloaded.h"
#include "crypto/hash.h"
#include "tests/support/catch.h"
#include "wire/codec.h"

namespace sotto {
namespace {

AdapterLayout small_layout() {
  return {{{"model.layers.0.self_attn.q_proj", 6, 9, 3, 0.5}, {"model.layers.1.self_attn.v_proj", 5, 4, 2, 0.5}}};
}

Bytes make_initial(const AdapterLayout& layout) {
  AdapterState state{layout, {}};
  for (const auto& m : layout.modules) {
    LoraFactors f;
    f.a.assign(std::size_t{m.rank} * m.in, 0.25f);
    f.b.assign(std::size_t{m.out} * m.rank, 0.0f);
    state.factors.push_back(std::move(f));
  }
  return encode(state);
}

Bytes typed(const audit::Event& event) {
  return ByteWriter().u16(static_cast<std::uint16_t>(audit::type_of(event))).raw(audit::encode(event)).take();
}

wire::HeadBytes make_head(const crypto::SigningKey& key, const std::string& party, std::uint64_t size, const Digest& root) {
  audit::SignedHead head;
  head.party = party;
  head.key = crypto::verify_key(key).value();
  head.log = crypto::sha256(as_bytes(party));
  head.size = size;
  head.root = root;
  head.signature = crypto::sign(key, audit::signed_part(head));
  return audit::encode(head);
}

}  // namespace

Simulator::Simulator(SimulatorOptions options) : options_(options), layout_(small_layout()) {
  FixedRandom random(options.seed);
  coordinator_key_ = std::make_unique<crypto::SigningKey>(crypto::SigningKey::random(random));
  roster_.coordinator = crypto::verify_key(*coordinator_key_).value();
  roster_.colluders = options.colluders;
  plan_.run = RunId("run-1");
  plan_.model = crypto::sha256(as_bytes("model"));
  plan_.lora.targets = {"q_proj", "v_proj"};
  plan_.ring = {options.bits, 0.25, 0.25 / 1024};
  plan_.rounds = 5;
  plan_.expected_batch = 10;
  plan_.colluders = options.colluders;
  plan_.min_sites = options.min_sites == 0 ? shamir_threshold(options.sites, options.colluders) : options.min_sites;
  plan_.allow_two_sites = true;
  plan_.phase_deadline_s = 30;
  plan_.max_attempts = options.max_attempts;
  for (std::uint32_t i = 0; i < options.sites; ++i) {
    Site site;
    site.identity = std::make_unique<crypto::SigningKey>(crypto::SigningKey::random(random));
    site.random = std::make_unique<FixedRandom>(options.seed * 1000 + i);
    const std::string name = "site-" + std::to_string(i);
    PublicKeyBytes transport{};
    random.fill(transport);
    roster_.sites.push_back({name, crypto::verify_key(*site.identity).value(), transport, 100});
    plan_.sites.push_back({name, 100, 0.1, 0.5, 1.0});
    sites_.push_back(std::move(site));
  }
  const auto valid = validate(plan_, roster_);
  INFO((valid.ok() ? "" : valid.error().message));
  REQUIRE(valid.ok());
  initial_adapter_ = adapter_ = make_initial(layout_);
  transcript_ = crypto::sha256(first_transcript_preimage(audit::plan_hash(plan_), audit::roster_hash(roster_)));
  coordinator_log_.push_back(audit::CoordinatorCreated{roster_.coordinator, {}});
  for (std::uint32_t i = 0; i < options.sites; ++i) {
    auto& site = sites_[i];
    site.log.push_back(audit::SiteCreated{roster_.sites[i].name, roster_.sites[i].identity, {}});
    site.participant.emplace(client::Participant::create(config_of(SiteIndex(i)), *site.identity, *site.random).value());
    const auto first = site.participant->snapshot();
    site.snapshot.assign(first.reveal().begin(), first.reveal().end());
    site.participant->on(client::OwnHead{own_head(SiteIndex(i))});
  }
}

client::ParticipantConfig Simulator::config_of(SiteIndex site) const { return {plan_, roster_, site, layout_, {2, 0}}; }

wire::HeadBytes Simulator::own_head(SiteIndex site) const {
  const auto& s = sites_[site.value()];
  return make_head(*s.identity, roster_.sites[site.value()].name, s.log.size(), tree_of(s.log).root());
}
audit::MerkleTree Simulator::tree_of(const std::vector<audit::Event>& log) {
  audit::MerkleTree tree;
  for (const auto& event : log) tree.append(audit::leaf_hash(typed(event)));
  return tree;
}
wire::HeadBytes Simulator::head_of_coordinator(const std::vector<audit::Event>& log) const {
  return make_head(*coordinator_key_, "coordinator", log.size(), tree_of(log).root());
}
wire::HeadBytes Simulator::head_of_coordinator(std::uint64_t size, std::uint8_t root) const {
  Digest digest{};
  digest[0] = root;
  return make_head(*coordinator_key_, "coordinator", size, digest);
}

SignatureBytes Simulator::sign_as_coordinator(const wire::RoundHeader& h, const char* label, ByteSpan body) const {
  return crypto::sign_statement(*coordinator_key_, {label, wire::kCoordinatorName, h.run, h.round, h.attempt,
                                                    audit::roster_hash(roster_), crypto::sha256(body)});
}

wire::RoundOpen Simulator::opening(const RoundDescriptor& d, const wire::HeadBytes& head) const {
  wire::RoundOpen m{encode(d), head, adapter_, {}};
  sign({d.run, d.round, d.attempt}, m);
  return m;
}

void Simulator::kill(SiteIndex site) {
  sites_[site.value()].participant.reset();
  if (round_) on_round(coordinator::SiteGone{site});
}

void Simulator::restart(SiteIndex site) {
  auto& s = sites_[site.value()];
  auto restored = client::Participant::restore(config_of(site), *s.identity, *s.random, s.snapshot);
  INFO((restored.ok() ? "" : restored.error().message));
  REQUIRE(restored.ok());
  for (const auto& event : s.log) REQUIRE(restored->fits(event).ok());
  s.participant.emplace(std::move(*restored));
  s.participant->on(client::OwnHead{own_head(site)});
  if (round_) on_round(coordinator::SiteConnected{site});
}

// ---- sites

// What an honest site never does, whatever it is told.
void Simulator::require_honest(SiteIndex index, const wire::ToCoordinator& message, bool appended) {
  auto& site = sites_[index.value()];
  std::visit(
      [&](const auto& m) {
        if constexpr (requires { m.signature; }) {
          REQUIRE(!std::ranges::search(site.snapshot, m.signature).empty());  // on disk before it is sent
          REQUIRE(appended);  // and known to the log; the caller drops what the log has already
          site.sent.insert(crypto::sha256(wire::encode(message)));
        }
      },
      message);
  std::visit(Overloaded{[&](const wire::Report& m) {
                          const auto [known, fresh] = site.report_of_ctx.try_emplace(m.context, wire::encode(message));
                          REQUIRE((fresh || known->second == wire::encode(message)));
                          REQUIRE(!site.opened.contains(m.header.round));
                        },
                        [&](const wire::Confirm& m) {
                          const auto [known, fresh] = site.confirm_of_ctx.try_emplace(m.context, wire::encode(message));
                          REQUIRE((fresh || known->second == wire::encode(message)));
                        },
                        [&](const wire::Unmask& m) {
                          const auto [opened, first] = site.opened.try_emplace(m.header.round, m.header.attempt);
                          REQUIRE(opened->second == m.header.attempt);  // one opened attempt a round
                          for (const auto& share : m.shares) {
                            const auto [kind, fresh] = site.revealed.try_emplace({m.header.round, share.owner}, share.kind);
                            REQUIRE(kind->second == share.kind);  // never both kinds for one owner
                          }
                        },
                        [](const auto&) {}},
             message);
}

void Simulator::carry_out(SiteIndex index, std::vector<client::Action> actions, std::vector<wire::ToCoordinator>* sent) {
  auto& site = sites_[index.value()];
  bool appended = false;
  std::vector<client::Event> next;
  for (auto& action : actions) {
    if (!before_action(index, action)) return kill(index);
    std::visit(
        Overloaded{[&](client::Persist& a) { site.snapshot.assign(a.snapshot.reveal().begin(), a.snapshot.reveal().end()); },
                   [&](client::Append& a) {
                     REQUIRE(audit::may_stand_in_site_log(audit::type_of(a.event)));
                     if (site.logged.insert(crypto::sha256(typed(a.event))).second) site.log.push_back(a.event);
                     appended = true;
                   },
                   [&](client::Send& a) {
                     require_honest(index, a.message, appended);
                     if (auto* declined = std::get_if<wire::Declined>(&a.message)) site.declined.push_back(*declined);
                     if (sent != nullptr) {
                       sent->push_back(a.message);
                     } else if (to_coordinator(index, a.message)) {
                       to_coordinator_.emplace_back(index, wire::decode_to_coordinator(wire::encode(a.message)).value());
                     }
                   },
                   [&](client::Train& a) {
                     if (!may_train(index)) {
                       next.push_back(
                           client::TrainingRefused{a.descriptor.round, "over_budget", "the site's budget is spent"});
                       return;
                     }
                     ++site.trainings[a.descriptor.round];
                     const std::uint32_t mask = options_.bits == 32 ? 0xffffffffu : (1u << options_.bits) - 1;
                     std::vector<std::uint32_t> x(layout_.trained_size(part_in_round(plan_.trained, a.descriptor.round)));
                     for (auto& v : x) v = (static_cast<std::uint32_t>(site.random->below(2049)) - 1024u) & mask;
                     trained(index, x);
                     site.updates[a.descriptor.round] = x;
                     next.push_back(client::Trained{a.descriptor.round, std::move(x)});
                   },
                   [&](client::CheckInitial& a) {
                     next.push_back(
                         client::AdapterChecked{crypto::sha256(a.adapter), a.adapter == initial_adapter_, "it is another"});
                   },
                   [&](client::CheckStep& a) {
                     const bool ok = step(a.previous, a.sum, a.survivors.size()) == a.adapter;
                     next.push_back(client::AdapterChecked{crypto::sha256(a.adapter), ok, "it is another"});
                   },
                   [&](client::Accept&) {}, [&](client::KeepProof& a) { site.proofs.push_back(a.proof); },
                   [&](client::Halt& a) { site.halts.push_back(a.proof); }},
        action);
    if (!site.participant) return;
  }
  if (site.participant) site.participant->on(client::OwnHead{own_head(index)});
  for (auto& event : next) {
    if (!site.participant) return;
    carry_out(index, site.participant->on(std::move(event)), sent);
  }
}

void Simulator::feed_and_queue(SiteIndex site, client::Event event) {
  if (alive(site)) carry_out(site, participant(site).on(std::move(event)), nullptr);
}

std::vector<wire::ToCoordinator> Simulator::feed(SiteIndex site, client::Event event) {
  std::vector<wire::ToCoordinator> sent;
  carry_out(site, participant(site).on(std::move(event)), &sent);
  return sent;
}

// ---- the coordinator

Bytes Simulator::step(const Bytes& adapter, const std::vector<std::uint32_t>& sum, std::size_t survivors) const {
  AdapterState state = decode_adapter(adapter).value();
  const auto ring = aggregation::Ring::make(plan_.ring, options_.sites).value();
  const auto mean = aggregation::dequantize_mean(sum, static_cast<double>(survivors), ring);
  std::size_t at = 0;
  for (auto& f : state.factors)
    for (auto& b : f.b) b += mean[at++];
  return encode(state);
}

coordinator::Open Simulator::open_attempt() {
  head_size_ = coordinator_log_.size();
  return {head_of_coordinator(coordinator_log_)};
}

void Simulator::prove_head(SiteIndex site, const wire::FetchHeadProof& m) {
  to_sites_.emplace_back(site,
                         wire::HeadProof{m.header, m.from, tree_of(coordinator_log_).consistency_proof(m.from, head_size_)});
}

void Simulator::on_round(coordinator::Event event) { carry_out(round_->on(event, now_)); }

void Simulator::give_to_coordinator(SiteIndex site, wire::ToCoordinator message) {
  on_round(coordinator::FromSite{site, std::move(message)});
}

void Simulator::carry_out(std::vector<coordinator::Action> actions) {
  using namespace coordinator;
  for (auto& action : actions) {
    std::visit(Overloaded{[&](Send& a) {
                            for (const auto site : a.to)
                              to_sites_.emplace_back(site, wire::decode_to_site(wire::encode(a.message)).value());
                          },
                          [&](Append& a) {
                            REQUIRE(audit::may_stand_in_coordinator_log(audit::type_of(a.event)));
                            coordinator_log_.push_back(a.event);
                          },
                          [&](Drop& a) { drops.push_back(a); }, [&](KeepProof& a) { round_proofs.push_back(a); },
                          [&](CatchUp& a) {
                            for (const auto& m : history_) to_sites_.emplace_back(a.site, m);
                            work_.push_back(SiteConnected{a.site});
                          },
                          [&](CloseAttempt&) {}, [&](NewAttempt&) { work_.push_back(open_attempt()); },
                          [&](StartUnmask& a) { work_.push_back(Unmasked{run(std::move(a.job))}); },
                          [&](StartServerStep& a) {
                            outcomes.back().sum = a.sum;
                            work_.push_back(Stepped{publish(step(adapter_, a.sum, a.survivors.size()))});
                          },
                          [&](Release& a) {
                            // The result must stand in the log before anybody is told.
                            REQUIRE(std::holds_alternative<audit::RoundResult>(coordinator_log_.back()));
                            auto& o = outcomes.back();
                            o.attempt = a.result.header.attempt;
                            o.survivors = a.result.survivors;
                            for (const auto& p : a.result.u1) o.u1.push_back(p.site);
                            adapter_ = a.result.adapter;
                            transcript_ = a.transcript;
                            history_.push_back(a.result);
                          },
                          [&](VoidRound& a) {
                            outcomes.back().is_void = true;
                            outcomes.back().reason = a.message.reason;
                            transcript_ = a.transcript;
                            history_.push_back(a.message);
                          },
                          [&](Finished& a) { outcomes.back().accepted = a.accepted; }},
               action);
  }
}

void Simulator::make_round(AttemptId first, bool opened_before) {
  round_.emplace(coordinator::RoundInput{plan_, roster_, round_id_, layout_, adapter_, transcript_, first, opened_before},
                 *coordinator_key_);
}

void Simulator::crash_coordinator(bool opened_before) {
  const AttemptId next(round_->attempt().value() + 1);
  make_round(next, opened_before);
  to_coordinator_.clear();
  to_sites_.clear();
  work_.clear();
  work_.push_back(open_attempt());
  for (std::uint32_t i = 0; i < options_.sites; ++i)
    if (!alive(SiteIndex(i))) on_round(coordinator::SiteGone{SiteIndex(i)});
}

bool Simulator::deliver_one() {
  if (!to_sites_.empty()) {
    auto [site, message] = std::move(to_sites_.front());
    to_sites_.pop_front();
    if (alive(site) && to_site(site, message)) feed_and_queue(site, client::FromCoordinator{std::move(message)});
    return true;
  }
  if (!to_coordinator_.empty()) {
    auto [site, message] = std::move(to_coordinator_.front());
    to_coordinator_.pop_front();
    frames.emplace_back(site, message);
    frame_bytes.push_back(wire::encode(message));
    if (const auto* fetch = std::get_if<wire::FetchHeadProof>(&message)) {
      prove_head(site, *fetch);
      return true;
    }
    on_round(coordinator::FromSite{site, std::move(message)});
    return true;
  }
  if (!work_.empty()) {
    auto event = std::move(work_.front());
    work_.pop_front();
    on_round(std::move(event));
    return true;
  }
  return false;
}

void Simulator::run_round() {
  outcomes.emplace_back();
  make_round(AttemptId(1), false);
  for (std::uint32_t i = 0; i < options_.sites; ++i)
    if (!alive(SiteIndex(i))) on_round(coordinator::SiteGone{SiteIndex(i)});
  work_.push_back(open_attempt());
  for (int steps = 0; !round_->over() || !to_sites_.empty(); ++steps) {
    REQUIRE(steps < 100000);
    if (deliver_one() || when_idle()) continue;
    now_ += std::chrono::seconds(plan_.phase_deadline_s);
    on_round(coordinator::Tick{});
  }
  round_.reset();
  to_coordinator_.clear();
  round_id_ = RoundId(round_id_.value() + 1);
}

// ---- what happened

std::vector<std::uint32_t> Simulator::update_of(SiteIndex site, RoundId round) const {
  const auto& updates = sites_[site.value()].updates;
  const auto found = updates.find(round);
  return found == updates.end() ? std::vector<std::uint32_t>{} : found->second;
}

std::size_t Simulator::trainings(SiteIndex site, RoundId round) const {
  const auto& trainings = sites_[site.value()].trainings;
  const auto found = trainings.find(round);
  return found == trainings.end() ? 0 : found->second;
}

std::vector<std::uint32_t> Simulator::expected_sum(const std::vector<SiteIndex>& survivors, RoundId round) const {
  const std::uint32_t mask = options_.bits == 32 ? 0xffffffffu : (1u << options_.bits) - 1;
  std::vector<std::uint32_t> sum(layout_.trained_size(part_in_round(plan_.trained, round)));
  for (const auto site : survivors) {
    const auto x = update_of(site, round);
    REQUIRE(x.size() == sum.size());
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] = (sum[k] + x[k]) & mask;
  }
  return sum;
}

bool Simulator::has_declined(SiteIndex site, const std::string& code) const {
  return std::ranges::any_of(sites_[site.value()].declined, [&](const auto& d) { return d.code == code; });
}

}  // namespace sotto
