#include "client/protocol/participant.h"

#include <algorithm>

#include "audit/log/statements.h"
#include "client/protocol/participant_impl.h"
#include "client/protocol/sealed_share.h"
#include "crypto/hash.h"
#include "crypto/mask.h"
#include "crypto/statement.h"

namespace sotto::client {
namespace {

Result<void> check_config(const ParticipantConfig& c, const crypto::SigningKey& identity) {
  SOTTO_TRY_VOID(validate(c.plan, c.roster));
  if (c.self.value() >= c.roster.sites.size())
    return invalid("this site's index " + std::to_string(c.self.value()) + " is not in the roster of " +
                   std::to_string(c.roster.sites.size()));
  if (crypto::verify_key(identity).value() != c.roster.sites[c.self.value()].identity)
    return invalid("the roster has another identity key for site '" + c.roster.sites[c.self.value()].name +
                   "' than this site's own");
  if (c.plan.min_sites < c.limits.min_sites)
    return refused("the plan's min_sites = " + std::to_string(c.plan.min_sites) + " is below this site's own limit, " +
                   std::to_string(c.limits.min_sites));
  if (c.plan.colluders < c.limits.min_colluders)
    return refused("the plan's colluders = " + std::to_string(c.plan.colluders) + " is below this site's own limit, " +
                   std::to_string(c.limits.min_colluders));
  return {};
}

}  // namespace

Participant::Participant(std::unique_ptr<State> state) : state_(std::move(state)) {}
Participant::Participant(Participant&&) noexcept = default;
Participant& Participant::operator=(Participant&&) noexcept = default;
Participant::~Participant() = default;

Result<Participant> Participant::create(ParticipantConfig config, const crypto::SigningKey& identity, RandomSource& random) {
  SOTTO_TRY_VOID(check_config(config, identity));
  auto state = std::make_unique<State>();
  auto& f = state->facts;
  f.plan = std::move(config.plan);
  f.roster = std::move(config.roster);
  f.self = config.self;
  f.layout = std::move(config.layout);
  f.plan_digest = audit::plan_hash(f.plan);
  f.roster_digest = audit::roster_hash(f.roster);
  f.layout_digest = crypto::sha256(encode(f.layout));
  state->identity = &identity;
  state->random = &random;
  state->owner =
      crypto::sha256(ByteWriter().raw(f.plan_digest).raw(f.roster_digest).raw(f.layout_digest).u32(f.self.value()).view());
  state->memory.transcript = crypto::sha256(first_transcript_preimage(f.plan_digest, f.roster_digest));
  state->memory.heads.resize(f.n() + 1);
  state->know(std::move(config.coordinator_head));
  return Participant(std::move(state));
}

Result<Participant> Participant::restore(ParticipantConfig config, const crypto::SigningKey& identity, RandomSource& random,
                                         ByteSpan snapshot) {
  wire::HeadBytes logged = config.coordinator_head;
  SOTTO_TRY(auto participant, create(std::move(config), identity, random));
  SOTTO_TRY(participant.state_->memory, decode_memory(snapshot, participant.state_->owner));
  participant.state_->know(std::move(logged));  // another run may have gone on since
  return participant;
}

crypto::SecretBuffer Participant::snapshot() const { return encode(state_->memory, state_->owner); }
RoundId Participant::next_round() const { return state_->memory.next_round; }
bool Participant::halted() const { return state_->memory.halted; }

std::vector<Action> Participant::on(Event event) {
  state_->actions.clear();
  std::visit([&](auto& e) { state_->handle(e); }, event);
  return std::move(state_->actions);
}

void Participant::State::handle(FromCoordinator& e) {
  std::visit(
      [&](auto& m) {
        if constexpr (requires { take(m); }) {
          if (!memory.halted) return take(m);
          decline({facts.plan.run, memory.next_round, AttemptId(0)}, "halted",
                  "this site halted the run; its operator must look at the proof");
        }
      },
      e.message);
}

wire::RoundHeader Participant::State::header() const {
  const auto& d = memory.attempt->descriptor;
  return {d.run, d.round, d.attempt};
}

SignatureBytes Participant::State::sign(const wire::RoundHeader& h, const char* label, ByteSpan body) const {
  return crypto::sign_statement(*identity, statement_of(facts, h, label, facts.name_of(facts.self), body));
}

void Participant::State::decline(const wire::RoundHeader& h, std::string code, std::string reason) {
  send(wire::Declined{h, std::move(code), std::move(reason)});
}

void Participant::State::abandon(Proof proof) {
  attempt().abandoned = true;
  persist();
  const std::string code = proof.code;
  const std::string reason = proof.reason;
  actions.push_back(KeepProof{std::move(proof)});
  decline(header(), code, reason);
}

void Participant::State::halt(const wire::RoundHeader& h, Proof proof) {
  memory.halted = true;
  persist();
  const std::string code = proof.code;
  const std::string reason = proof.reason;
  actions.push_back(Halt{std::move(proof)});
  decline(h, code, reason);
}

bool Participant::State::in_attempt(const wire::RoundHeader& h) {
  if (!memory.attempt || h != header()) {
    decline(h, "wrong_attempt",
            "this site is not in attempt " + std::to_string(h.attempt.value()) + " of round " +
                std::to_string(h.round.value()) + " of run '" + h.run.value() + "'");
    return false;
  }
  if (attempt().abandoned) {
    decline(h, "abandoned", "this site left the attempt with proof of misconduct");
    return false;
  }
  return true;
}

// ---- RoundOpen

RoundDescriptor Participant::State::expected_descriptor(RoundId round, const Digest& adapter) const {
  RoundDescriptor d = describe(facts.plan, facts.roster);
  d.round = round;
  d.adapter = adapter;
  d.layout = facts.layout_digest;
  d.plan = facts.plan_digest;
  d.roster = facts.roster_digest;
  d.transcript = memory.transcript;
  return d;
}

Verdict Participant::State::judge_descriptor(const RoundDescriptor& d) const {
  // Before the first adapter was checked any will do here: CheckInitial judges it.
  const Digest adapter = memory.adapter.empty() ? d.adapter : crypto::sha256(memory.adapter);
  const std::string field = first_difference(expected_descriptor(memory.next_round, adapter), d);
  if (field.empty()) return std::nullopt;
  return Refusal{"descriptor_differs",
                 "the round's descriptor differs in '" + field +
                     "' from the approved plan and roster and the results so far; ask the coordinator's operator"};
}

Verdict Participant::State::judge_opening(const wire::RoundOpen& m, const RoundDescriptor& d) const {
  if (memory.opened)
    return Refusal{"already_opened", "this site has answered UNMASK in an attempt of this round; it joins no other"};
  if (!memory.seen.empty() && d.attempt <= memory.seen.rbegin()->first)
    return Refusal{"closed_attempt",
                   "attempt " + std::to_string(d.attempt.value()) + " was closed when a later one was joined"};
  if (d.attempt.value() < 1 || d.attempt.value() > facts.plan.max_attempts)
    return Refusal{"closed_attempt", "attempt " + std::to_string(d.attempt.value()) + " is not one of the plan's " +
                                         std::to_string(facts.plan.max_attempts)};
  if (auto verdict = judge_descriptor(d)) return verdict;
  if (memory.update && !same_round_inputs(memory.update->made_under, d))
    return Refusal{"descriptor_differs", "the stored update was made under another descriptor and is masked under no other"};
  if (crypto::sha256(m.head) != d.coordinator_head)
    return Refusal{"bad_head", "the coordinator's head is not the one that the descriptor names"};
  if (crypto::sha256(m.adapter) != d.adapter)
    return Refusal{"bad_adapter", "the adapter is not the one that the descriptor names"};
  const auto adapter = decode_adapter(m.adapter);
  if (!adapter.ok()) return Refusal{"bad_adapter", adapter.error().message};
  if (adapter->layout != facts.layout)
    return Refusal{"bad_adapter", "the adapter has another layout than this site's model"};
  if (!coordinator_signed(facts, {d.run, d.round, d.attempt}, wire::label_of(m), wire::body(m), m.signature))
    return Refusal{"bad_signature", "the coordinator did not sign this descriptor"};
  return std::nullopt;
}

// A descriptor for an attempt that this site has seen one for: the same is answered again, another one is a proof.
bool Participant::State::shown_before(const wire::RoundOpen& m, const RoundDescriptor& d) {
  const wire::RoundHeader h{d.run, d.round, d.attempt};
  const Bytes shown = crypto::with_signature(wire::body(m), m.signature);
  // One that still waits for its head's proof was signed, too.
  if (unproven && unproven->descriptor != m.descriptor &&
      decode_descriptor(unproven->descriptor).value().attempt == d.attempt &&
      coordinator_signed(facts, h, wire::label_of(m), wire::body(m), m.signature)) {
    halt(h, {"two_descriptors", "the coordinator signed two different descriptors of one attempt",
             crypto::with_signature(wire::body(*unproven), unproven->signature), shown});
    return true;
  }
  const auto known = memory.seen.find(d.attempt);
  if (known == memory.seen.end()) return false;
  if (std::ranges::equal(ByteSpan(known->second).first(known->second.size() - m.signature.size()), m.descriptor)) {
    if (memory.attempt && h == header() && !attempt().abandoned) {
      send_keys();
    } else {
      decline(h, "closed_attempt",
              "attempt " + std::to_string(d.attempt.value()) + " was closed when a later one was joined");
    }
  } else if (coordinator_signed(facts, h, wire::label_of(m), wire::body(m), m.signature)) {
    halt(h, {"two_descriptors", "the coordinator signed two different descriptors of one attempt", known->second, shown});
  } else {
    decline(h, "bad_signature", "a second, different descriptor of this attempt, which the coordinator did not sign");
  }
  return true;
}

void Participant::State::take(wire::RoundOpen& m) {
  const auto decoded = decode_descriptor(m.descriptor);
  if (!decoded.ok())
    return decline({facts.plan.run, memory.next_round, AttemptId(0)}, "bad_descriptor", decoded.error().message);
  const auto& d = *decoded;
  const wire::RoundHeader h{d.run, d.round, d.attempt};
  if (d.run != facts.plan.run)
    return decline(h, "wrong_run", "this site approved run '" + facts.plan.run.value() + "', not this one");
  if (d.round < memory.next_round)
    return decline(h, "replayed_round",
                   "round " + std::to_string(d.round.value()) + " is over; this site waits for round " +
                       std::to_string(memory.next_round.value()));
  if (d.round > memory.next_round)
    return decline(h, "behind", "this site has no result of round " + std::to_string(memory.next_round.value()));
  if (shown_before(m, d)) return;
  if (const auto refusal = judge_opening(m, d)) return decline(h, *refusal);
  switch (judge_head(m.head, wire::kCoordinatorName, facts.roster.coordinator, memory.heads.back())) {
    case HeadFault::kNone: break;
    case HeadFault::kInvalid: return decline(h, "bad_head", "the coordinator's head is malformed or not signed by its key");
    case HeadFault::kOlder:
      return decline(h, "head_went_back", "the coordinator's log has become shorter since this site last saw it");
    case HeadFault::kSplit:
      return halt(h, {"split_view", "the coordinator signed two heads of its log that contradict each other",
                      memory.heads.back(), m.head});
  }
  if (const auto from = size_to_prove(memory.heads.back(), m.head); from != 0) {
    unproven = std::move(m);
    return send(wire::FetchHeadProof{h, from});
  }
  check_or_join(std::move(m));
}

// Nothing of an attempt is answered before its head continues the last one that this site saw.
void Participant::State::take(wire::HeadProof& m) {
  if (!unproven) return;
  const auto d = decode_descriptor(unproven->descriptor).value();
  const wire::RoundHeader h{d.run, d.round, d.attempt};
  if (m.header != h) return;
  wire::RoundOpen open = std::move(*unproven);
  unproven.reset();
  if (continues(memory.heads.back(), open.head, m.path)) return check_or_join(std::move(open));
  append(audit::HeadSeen{open.head});  // signed by the coordinator: beside its log, or another site's, it is the proof
  halt(h, {"split_view", "the coordinator cannot prove that its log continues the one that it signed before",
           memory.heads.back(), open.head});
}

void Participant::State::check_or_join(wire::RoundOpen m) {
  if (!memory.adapter.empty()) return join(m, decode_descriptor(m.descriptor).value());
  unchecked = std::move(m);
  actions.push_back(CheckInitial{unchecked->adapter});
}

// The newest head of the coordinator that this site has seen, in whichever run.
void Participant::State::know(wire::HeadBytes head) {
  auto& newest = memory.heads.back();
  if (head.empty() || judge_head(head, wire::kCoordinatorName, facts.roster.coordinator, {}) != HeadFault::kNone) return;
  if (newest.empty() || size_to_prove(newest, head) != 0) newest = std::move(head);
}

void Participant::State::join(const wire::RoundOpen& m, const RoundDescriptor& d) {
  if (memory.attempt) {
    const auto h = header();
    append(audit::AttemptClosed{h.run, h.round, h.attempt, "attempt " + std::to_string(d.attempt.value()) + " was joined"});
  }
  memory.seen[d.attempt] = crypto::with_signature(wire::body(m), m.signature);
  memory.heads.back() = m.head;
  AttemptState a;
  a.descriptor = d;
  a.coordinator_head = m.head;
  a.secrets = AttemptSecrets{
      crypto::MaskKey::random(*random), crypto::SealKey::random(*random), crypto::MaskSeed::random(*random), {}};
  a.keys.header = {d.run, d.round, d.attempt};
  a.keys.mask_key = crypto::public_key(a.secrets->mask_key).value();
  a.keys.seal_key = crypto::public_key(a.secrets->seal_key).value();
  a.keys.seed_commitment = crypto::commit(a.secrets->seed);
  a.keys.signature = sign(a.keys.header, wire::label_of(a.keys), wire::body(a.keys));
  memory.attempt = std::move(a);
  persist();
  send_keys();
}

void Participant::State::send_keys() {
  const auto& a = attempt();
  const auto& h = a.keys.header;
  if (memory.last_result) append(*memory.last_result);  // a crash may have come between taking the result and logging it
  append(audit::HeadSeen{a.coordinator_head});
  append(audit::RoundJoined{h.run, h.round, h.attempt, encode(a.descriptor)});
  append(audit::KeysSent{h.run, h.round, h.attempt, crypto::sha256(wire::body(a.keys))});
  send(a.keys);
}

// ---- KeyList

// A second key list is answered again when it is the first one, and refused otherwise; other keys of a site under its own
// signature are a proof against that site.
bool Participant::State::repeated_keys(const wire::KeyList& m) {
  if (!attempt().shares) return false;
  bool same = m.keys.size() == attempt().key_list.size();
  for (const auto& shown : m.keys) {
    const auto known = std::ranges::find(attempt().key_list, shown.site, &wire::KeysOf::site);
    if (known == attempt().key_list.end()) {
      same = false;
    } else if (wire::body(shown.keys) != wire::body(known->keys)) {
      same = false;
      const Bytes body = wire::body(shown.keys);
      const auto statement = statement_of(facts, header(), wire::label_of(shown.keys), facts.name_of(shown.site), body);
      if (!crypto::verify_statement(facts.key_of(shown.site), statement, shown.keys.signature).ok()) continue;
      abandon({"two_keys", "site '" + facts.name_of(shown.site) + "' signed two different KEYS in one attempt",
               crypto::with_signature(wire::body(known->keys), known->keys.signature),
               crypto::with_signature(body, shown.keys.signature)});
      return true;
    }
  }
  if (same) {
    send_shares();
  } else {
    decline(m.header, "second_key_list", "a second, different key list for one attempt");
  }
  return true;
}

void Participant::State::take(wire::KeyList& m) {
  if (!in_attempt(m.header) || repeated_keys(m)) return;
  if (const auto refusal = check_key_list(facts, m, attempt().keys)) return decline(m.header, *refusal);
  for (const auto& k : m.keys) {
    if (k.site == facts.self) continue;
    if (const auto ok = crypto::agree(attempt().secrets->mask_key, crypto::MaskPublicKey(k.keys.mask_key)); !ok.ok())
      return decline(m.header, "bad_key", "site '" + facts.name_of(k.site) + "': " + ok.error().message);
  }
  attempt().key_list = std::move(m.keys);
  auto shares = deal();
  if (!shares.ok()) {
    attempt().key_list.clear();
    return decline(m.header, "bad_key", shares.error().message);
  }
  attempt().shares = std::move(*shares);
  persist();
  send_shares();
}

// Fixes one polynomial for each of the two secrets, with a share at every point of the roster.
Result<wire::Shares> Participant::State::deal() {
  auto& a = attempt();
  auto& secrets = *a.secrets;
  const auto seed_shares = crypto::split(secrets.seed.reveal(), facts.t(), facts.n(), *random);
  const auto key_shares = crypto::split(secrets.mask_key.reveal(), facts.t(), facts.n(), *random);
  wire::Shares m;
  m.header = header();
  const Bytes seed_context = wire::share_context(m.header, facts.self, wire::SecretKind::kSelfMaskSeed);
  const Bytes key_context = wire::share_context(m.header, facts.self, wire::SecretKind::kMaskKey);
  for (const auto& s : seed_shares) m.seed_share_hashes.push_back(crypto::share_hash(s, seed_context));
  for (const auto& s : key_shares) m.key_share_hashes.push_back(crypto::share_hash(s, key_context));
  SOTTO_CHECK(!own_head.empty());
  for (const auto& k : a.key_list) {
    const auto point = k.site.value();
    if (k.site == facts.self) continue;
    const SealingContext context{m.header,
                                 facts.roster_digest,
                                 facts.self,
                                 k.site,
                                 crypto::SealPublicKey(a.keys.seal_key),
                                 crypto::SealPublicKey(k.keys.seal_key)};
    const SharePlaintext plaintext{crypto::ShareValue::from(seed_shares[point].value.reveal()),
                                   crypto::ShareValue::from(key_shares[point].value.reveal()), own_head, a.coordinator_head};
    SOTTO_TRY(Bytes sealed, seal_share(context, secrets.seal_key, plaintext, *random));
    m.sealed.push_back({k.site, std::move(sealed)});
  }
  secrets.held.clear();
  secrets.held.push_back({facts.self, crypto::ShareValue::from(seed_shares[facts.self.value()].value.reveal()),
                          crypto::ShareValue::from(key_shares[facts.self.value()].value.reveal())});
  m.signature = sign(m.header, wire::label_of(m), wire::body(m, hashes_of(m.sealed)));
  return m;
}

void Participant::State::send_shares() {
  const auto& shares = *attempt().shares;
  const auto& h = shares.header;
  append(audit::SharesSent{h.run, h.round, h.attempt, shares_digest(shares)});
  send(shares);
}

}  // namespace sotto::client
