#include "coordinator/round/round.h"

#include <algorithm>

#include "aggregation/ring.h"
#include "audit/log/statements.h"
#include "coordinator/round/round_state.h"
#include "crypto/hash.h"

namespace sotto::coordinator {

Round::State::State(RoundInput in, const crypto::SigningKey& coordinator_key)
    : input(std::move(in)),
      key(&coordinator_key),
      n(static_cast<std::uint32_t>(input.roster.sites.size())),
      t(shamir_threshold(n, input.roster.colluders)),
      tau(input.plan.min_sites),
      roster_digest(audit::roster_hash(input.roster)),
      gone(n, false),
      excluded(n, false),
      attempt(input.first_attempt) {
  SOTTO_CHECK(validate(input.plan, input.roster).ok());
  SOTTO_CHECK(input.round.value() < input.plan.rounds && attempt.value() >= 1);
  SOTTO_CHECK(crypto::verify_key(coordinator_key).value() == input.roster.coordinator);
}

Round::Round(RoundInput input, const crypto::SigningKey& coordinator_key)
    : state_(std::make_unique<State>(std::move(input), coordinator_key)) {}
Round::Round(Round&&) noexcept = default;
Round& Round::operator=(Round&&) noexcept = default;
Round::~Round() = default;

Phase Round::phase() const { return state_->phase; }
AttemptId Round::attempt() const { return state_->attempt; }

std::vector<SiteIndex> Round::waiting_for() const {
  std::vector<SiteIndex> out;
  for (const auto site : state_->everyone())
    if (state_->expected(site) && state_->willing(site) && !state_->answered(site)) out.push_back(site);
  return out;
}

std::vector<Action> Round::on(const Event& event, TimePoint now) {
  auto& s = *state_;
  s.now = now;
  s.actions.clear();
  std::visit([&](const auto& e) { s.handle(e); }, event);
  s.advance();
  return std::move(s.actions);
}

// ---- events

void Round::State::handle(const Open& e) {
  SOTTO_CHECK(phase == Phase::kWaitingForHead);
  if (input.opened_before)
    return make_void("the coordinator stopped after sites had agreed to open an attempt of this round");
  if (attempt.value() > input.plan.max_attempts) return make_void("no attempt is left");
  auto& d = facts.descriptor;
  d = describe(input.plan, input.roster);
  d.round = input.round;
  d.attempt = attempt;
  d.adapter = crypto::sha256(input.adapter);
  d.layout = crypto::sha256(encode(input.layout));
  d.plan = audit::plan_hash(input.plan);
  d.roster = roster_digest;
  d.transcript = input.transcript;
  d.coordinator_head = crypto::sha256(e.head);
  facts.roster = &input.roster;
  facts.context = audit::context_of(d);
  facts.update_size = input.layout.trained_size(part_in_round(input.plan.trained, input.round));
  descriptor = encode(d);
  members = std::vector<Member>(n);
  sum.reset();

  open = {descriptor, e.head, input.adapter, {}};
  open.signature = sign(wire::label_of(open), wire::body(open));
  actions.push_back(Append{audit::AttemptOpened{input.plan.run, input.round, attempt}});
  actions.push_back(Append{audit::RoundOpened{input.plan.run, input.round, attempt, descriptor}});
  begin(Phase::kKeys);
  actions.push_back(Send{everyone(), open});
}

void Round::State::handle(const SiteConnected& e) {
  if (e.site.value() >= n) return;
  gone[e.site.value()] = false;
  if (auto request = request_for(e.site)) actions.push_back(Send{{e.site}, std::move(*request)});
}

void Round::State::handle(const SiteGone& e) {
  if (e.site.value() < n) gone[e.site.value()] = true;
}

void Round::State::handle(const Unmasked& e) {
  SOTTO_CHECK(phase == Phase::kUnmasking);
  // At least t sites have answered UNMASK and will answer for no other attempt, and the others are fewer than tau.
  if (!e.sum.ok()) return make_void(e.sum.error().message);
  const auto ring = aggregation::Ring::make(input.plan.ring, n).value();  // the plan is validated
  if (const auto possible = aggregation::check_sum(*e.sum, u3.size(), ring); !possible.ok()) {
    std::string names;
    for (const auto site : u3) names += (names.empty() ? "" : ", ") + facts.name_of(site);
    return make_void(possible.error().message + " (sites in the sum: " + names + ")");
  }
  unmasked = e.sum.value();
  phase = Phase::kServerStep;
  actions.push_back(StartServerStep{input.round, u3, unmasked});
}

void Round::State::handle(const Stepped& e) {
  SOTTO_CHECK(phase == Phase::kServerStep);
  if (!e.adapter.ok()) return make_void("the server step failed: " + e.adapter.error().message);
  result.header = header();
  result.descriptor = descriptor;
  result.u1 = u1;
  result.survivors = u3;
  result.sum = aggregation::pack_bits(unmasked, facts.descriptor.ring.bits);
  result.adapter = *e.adapter;
  if (no_result_before()) result.start = input.adapter;  // for sites that have not seen this round open
  result.signature = sign(wire::label_of(result), wire::body(result));
  const RoundOutcome outcome{
      input.round, attempt, u1_digest, u3_digest, crypto::sha256(result.sum), crypto::sha256(result.adapter)};
  begin(Phase::kResult);
  actions.push_back(Append{audit::RoundResult{input.plan.run, input.round, attempt, u3, outcome.sum, outcome.adapter}});
  actions.push_back(Release{result, crypto::sha256(transcript_preimage(input.transcript, outcome))});
  actions.push_back(Send{everyone(), result});
}

// Whether every earlier round of the run was void.
bool Round::State::no_result_before() const {
  Digest transcript = crypto::sha256(first_transcript_preimage(audit::plan_hash(input.plan), roster_digest));
  for (std::uint32_t r = 0; r < input.round.value(); ++r)
    transcript = crypto::sha256(void_transcript_preimage(transcript, RoundId(r)));
  return transcript == input.transcript;
}

// ---- the course of phases

bool Round::State::willing(SiteIndex site) const { return !excluded[site.value()] && !members[site.value()].declined; }

std::vector<SiteIndex> Round::State::everyone() const {
  std::vector<SiteIndex> out;
  for (std::uint32_t i = 0; i < n; ++i) out.push_back(SiteIndex(i));
  return out;
}

SignatureBytes Round::State::sign(const char* label, ByteSpan body) const {
  return crypto::sign_statement(
      *key, {label, wire::kCoordinatorName, input.plan.run, input.round, attempt, roster_digest, crypto::sha256(body)});
}

void Round::State::begin(Phase next) {
  phase = next;
  deadline = now + std::chrono::seconds(input.plan.phase_deadline_s);
}

void Round::State::advance() {
  if (!row(phase).asks) return;
  std::size_t have = 0;
  std::size_t may_come = 0;
  bool wait = false;
  for (const auto site : everyone()) {
    if (!expected(site)) continue;
    if (answered(site)) {
      ++have;
    } else if (willing(site)) {
      ++may_come;
      wait = wait || !gone[site.value()];
    }
  }
  if (now >= deadline || have + may_come < quorum()) {
    if (have >= quorum()) return finish_phase();
    return close_attempt(std::string("too few sites in ") + to_string(phase) + ": " + std::to_string(have) +
                         " of at least " + std::to_string(quorum()));
  }
  // t valid answers open the attempt; more would not change the sum.
  if (have >= quorum() && (!wait || phase == Phase::kUnmask)) finish_phase();
}

void Round::State::finish_phase() { (this->*row(phase).finish)(); }

void Round::State::end_round() {
  Finished done;
  for (const auto site : everyone())
    if (members[site.value()].accepted) done.accepted.push_back(site);
  phase = Phase::kDone;
  actions.push_back(std::move(done));
}

void Round::State::close_attempt(const std::string& reason) {
  actions.push_back(Append{audit::AttemptClosed{input.plan.run, input.round, attempt, reason}});
  actions.push_back(CloseAttempt{attempt, reason});
  if (attempt.value() >= input.plan.max_attempts) return make_void(reason + "; that was the last attempt");
  attempt = AttemptId(attempt.value() + 1);
  phase = Phase::kWaitingForHead;
  actions.push_back(NewAttempt{attempt});
}

void Round::State::make_void(const std::string& why) {
  // The reason is signed, so it must pass the codec's limit on sentences unchanged.
  const std::string reason = why.substr(0, 500);
  wire::RoundVoid message{header(), reason, {}};
  message.signature = sign(wire::label_of(message), wire::body(message));
  phase = Phase::kVoid;
  actions.push_back(Append{audit::RoundVoid{input.plan.run, input.round, reason}});
  actions.push_back(VoidRound{message, crypto::sha256(void_transcript_preimage(input.transcript, input.round))});
  actions.push_back(Send{everyone(), message});
}

void Round::State::begin_shares() {
  SOTTO_CHECK(phase == Phase::kKeys);  // answered() speaks of KEYS
  key_sites.clear();
  for (const auto site : everyone())
    if (answered(site)) key_sites.push_back(site);
  begin(Phase::kShares);
  actions.push_back(Send{key_sites, *request_for(key_sites.front())});
}

void Round::State::begin_report() {
  SOTTO_CHECK(phase == Phase::kShares);  // answered() speaks of SHARES
  u1.clear();
  u1_sites.clear();
  for (const auto site : everyone()) {
    if (!answered(site)) continue;
    const auto& m = members[site.value()];
    u1_sites.push_back(site);
    u1.push_back({site, crypto::sha256(wire::body(*m.keys)),
                  crypto::sha256(wire::share_hashes_preimage(m.shares->seed_share_hashes, m.shares->key_share_hashes))});
  }
  u1_digest = audit::u1_hash(u1);
  sum.emplace(facts.update_size, facts.descriptor.ring.bits);
  begin(Phase::kReport);
  for (const auto site : u1_sites) actions.push_back(Send{{site}, *request_for(site)});
}

void Round::State::begin_confirm() {
  u3 = sum->sites();
  std::ranges::sort(u3);
  u3_digest = audit::u3_hash(u3);
  begin(Phase::kConfirm);
  actions.push_back(Append{audit::Survivors{input.plan.run, input.round, attempt, u1, u3}});
  actions.push_back(Send{u3, *request_for(u3.front())});
}

void Round::State::begin_unmask() {
  result.confirms.clear();
  std::vector<SiteIndex> confirmed;
  for (const auto site : u3) {
    const auto& confirm = members[site.value()].confirm;
    if (!confirm) continue;
    confirmed.push_back(site);
    result.confirms.push_back({site, confirm->signature});
  }
  begin(Phase::kUnmask);
  actions.push_back(Send{confirmed, *request_for(confirmed.front())});
}

void Round::State::begin_unmasking() {
  UnmaskJob job{std::move(*sum), {facts.context, u1_digest}, t, {}, {}};
  sum.reset();
  for (std::size_t i = 0; i < u1_sites.size(); ++i) {
    const auto owner = u1_sites[i];
    const auto& keys = *members[owner.value()].keys;
    job.u1.push_back({owner, crypto::MaskPublicKey(keys.mask_key), keys.seed_commitment});
    SharesOf shares{owner, std::ranges::binary_search(u3, owner), {}};
    for (const auto site : u3) {
      const auto& unmask = members[site.value()].unmask;
      if (!unmask) continue;
      shares.shares.push_back(
          {static_cast<std::uint8_t>(site.value() + 1), crypto::ShareValue::from(unmask->shares[i].share)});
    }
    job.owners.push_back(std::move(shares));
  }
  phase = Phase::kUnmasking;
  actions.push_back(StartUnmask{std::move(job)});
}

}  // namespace sotto::coordinator
