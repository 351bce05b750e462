#include "client/federation/run_session.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "aggregation/fedsvd.h"
#include "aggregation/ring.h"
#include "aggregation/server_step.h"
#include "audit/ledger/accounting.h"
#include "audit/log/running_program.h"
#include "audit/log/signed_head.h"
#include "audit/run/empirical_result.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/overloaded.h"
#include "base/progress.h"
#include "client/site/site_data.h"
#include "client/site/site_spending.h"
#include "client/text/adapter_file.h"
#include "client/text/text_model.h"
#include "client/training/canaries.h"
#include "client/training/engine_check.h"
#include "client/training/training_facts.h"
#include "crypto/hash.h"
#include "lineage/weights.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "plan/plan_json.h"

namespace sotto::client {
namespace {

Digest hash_of(audit::EventType type, ByteSpan payload) {
  ByteWriter out;
  out.u16(static_cast<std::uint16_t>(type)).raw(payload);
  return crypto::sha256(out.view());
}

}  // namespace

RunSession::RunSession(const SiteContext& context, Offer offer, SiteIndex site)
    : context_(context), offer_(std::move(offer)), site_(site) {}

Result<std::unique_ptr<RunSession>> RunSession::open(const SiteContext& context, Offer offer, SiteIndex site) {
  std::unique_ptr<RunSession> session(new RunSession(context, std::move(offer), site));
  SOTTO_TRY_VOID(session->prepare());
  return session;
}

Result<void> RunSession::prepare() {
  const RunPlan& plan = offer_.plan;
  const SiteConfig& config = *context_.config;
  SOTTO_TRY(model_, model::LanguageModel::load(config.model,
                                               {config.device, plan.precision, config.threads, config.quantized_base}));
  SOTTO_TRY(layout_, model::adapter_layout(model_->config(), plan));
  log(Level::kInfo, "model_loaded",
      {{"run", plan.run.value()},
       {"adapter", model::summarize(model_->config(), model_->weight_bytes(), layout_, plan.trained).text()}});
  SOTTO_TRY_VOID(
      check_engine(plan, plan.sites.at(site_.value()), *model_, *context_.random));  // before the first private record
  SOTTO_TRY_VOID(load_data());
  SOTTO_TRY(trainer_, model::AdapterTrainer::make(*model_, model::zero_adapter(layout_), plan.trained, plan.lora.dropout));
  trainer_->recompute_layers(config.gradient_checkpointing);
  SOTTO_TRY_VOID(trainer_->check(data_));  // so that no step fails, visibly, on what a record holds
  training_.emplace(plan, site_, *trainer_, data_, context_.folder->run_key());
  SOTTO_TRY_VOID(training_->check_units());

  for (const auto& record : context_.log->image().records) logged_.insert(hash_of(record.type, record.payload));
  SOTTO_TRY(const auto program, audit::this_program(plan.run));
  SOTTO_TRY_VOID(append(program));
  SOTTO_TRY(auto coordinator_head, newest_coordinator_head());
  const ParticipantConfig participant{plan,
                                      offer_.roster,
                                      site_,
                                      layout_,
                                      {config.policy.min_sites, config.policy.min_colluders},
                                      std::move(coordinator_head)};
  const auto& identity = context_.folder->identity_key();
  SOTTO_TRY(const auto state, context_.folder->state(plan.run));
  if (state) {
    SOTTO_TRY(participant_, Participant::restore(participant, identity, *context_.random, *state));
    const std::string kept = context_.folder->run_folder(plan.run) + "/adapter.bin";
    if (file_exists(kept)) {
      SOTTO_TRY(const Bytes bytes, read_binary_file(kept));
      SOTTO_TRY(adapter_, decode_adapter(bytes));
    }
  } else {
    SOTTO_TRY(participant_, Participant::create(participant, identity, *context_.random));
  }
  for (std::uint64_t i = 0; i < context_.log->size(); ++i) SOTTO_TRY_VOID(participant_->fits(context_.log->event(i)));
  return drive(OwnHead{own_head()});
}

// The head of the last attempt that this site joined, in whichever run: what the coordinator signs next must continue it. (A
// head that was logged and not joined under was refused.)
Result<wire::HeadBytes> RunSession::newest_coordinator_head() const {
  std::optional<Digest> wanted;
  for (std::uint64_t i = context_.log->size(); i-- > 0;) {
    const auto event = context_.log->event(i);
    const auto* joined = std::get_if<audit::RoundJoined>(&event);
    if (joined && !wanted) {
      SOTTO_TRY(const RoundDescriptor d, decode_descriptor(joined->descriptor));
      wanted = d.coordinator_head;
    }
    const auto* seen = std::get_if<audit::HeadSeen>(&event);
    if (seen && wanted && crypto::sha256(seen->head) == *wanted) return seen->head;
  }
  return wire::HeadBytes();
}

Result<void> RunSession::load_data() {
  const RunPlan& plan = offer_.plan;
  const SiteConfig& config = *context_.config;
  SOTTO_TRY(const TextModel text, TextModel::load(config.model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(auto records, read_site_records(config, plan.system_prompt));
  data_fingerprint_ = fingerprint_of(*context_.book, records);
  data::Split parts = data::split(std::move(records), hold_out_of(*context_.book, config));
  SOTTO_TRY_VOID(claim_patients(*context_.book, context_.ledger->spending().budget_of(plan.run), parts));
  std::ranges::move(planted_of(make_canaries(plan, context_.folder->run_key())), std::back_inserter(parts.training));
  const auto unit = plan.unit;
  data_ = data::encode(std::move(parts.training), chat, {unit, plan.max_tokens});
  if (data_.examples.empty() && data_.refused > 0) return invalid("no record can be used: " + data_.refusal);
  if (!config.watch.general.empty()) {
    SOTTO_TRY_VOID(check_outside(*context_.book, {"watch.general", config.watch.general}, true));
    SOTTO_TRY(watch_, ForgettingWatch::open(config.watch, plan, chat, context_.folder->run_folder(plan.run)));
  }
  // Only what the operator sees on the site's own terminal: these counts go into no message, log or report.
  log(Level::kDebug, "data_loaded",
      {{"records", data_.examples.size()},
       {"units", data_.units.size()},
       {"skipped", data_.skipped},
       {"refused", data_.refused}});
  return {};
}

Result<void> RunSession::look_for_forgetting(RoundId next_round) {
  if (!watch_) return {};
  SOTTO_TRY_VOID(trainer_->set_adapter(model::Adapter(*adapter_)));
  return watch_->look(*model_, next_round.value());
}

Result<void> RunSession::on(wire::ToSite message) {
  if (!halted_.empty()) {
    log(Level::kError, "run_halted", {{"run", offer_.plan.run.value()}, {"reason", halted_}});
    return {};
  }
  if (const auto* done = std::get_if<wire::RunFinished>(&message)) return finish(*done);
  return drive(FromCoordinator{std::move(message)});
}

Result<void> RunSession::drive(Event event) {
  pending_.push_back(std::move(event));
  while (!pending_.empty() && halted_.empty()) {
    Event next = std::move(pending_.front());
    pending_.erase(pending_.begin());
    const std::uint64_t size_before = context_.log->size();
    for (Action& action : participant_->on(std::move(next))) SOTTO_TRY_VOID(carry_out(std::move(action)));
    if (context_.log->size() != size_before) pending_.push_back(OwnHead{own_head()});
  }
  return {};
}

Result<void> RunSession::carry_out(Action action) {
  return std::visit(
      Overloaded{[&](Persist& a) { return context_.folder->save_state(offer_.plan.run, a.snapshot.reveal()); },
                 [&](Append& a) { return append(a.event); },
                 [&](Send& a) -> Result<void> {
                   if (auto* accepted = std::get_if<wire::Accepted>(&a.message)) accepted->head = own_head();
                   if (context_.hooks->before_send) context_.hooks->before_send(a.message);
                   SOTTO_TRY_VOID(context_.send(a.message));
                   if (context_.hooks->after_send) context_.hooks->after_send(a.message);
                   return {};
                 },
                 [&](Train& a) -> Result<void> {
                   pending_.push_back(train(a));
                   return {};
                 },
                 [&](CheckInitial& a) -> Result<void> {
                   pending_.push_back(check_initial(a));
                   return {};
                 },
                 [&](CheckStep& a) -> Result<void> {
                   if (context_.hooks->on_sum) context_.hooks->on_sum(a.round, a.survivors, a.sum);
                   pending_.push_back(check_step(a));
                   return {};
                 },
                 [&](Accept& a) -> Result<void> {
                   SOTTO_TRY(adapter_, decode_adapter(a.adapter));
                   const std::string folder = context_.folder->run_folder(offer_.plan.run);
                   SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
                   log(Level::kInfo, "adapter_accepted",
                       {{"run", offer_.plan.run.value()}, {"next_round", a.next_round.value()}});
                   SOTTO_TRY_VOID(write_file_atomically(folder + "/adapter.bin", a.adapter, FileMode::kPrivate));
                   return look_for_forgetting(a.next_round);
                 },
                 [&](KeepProof& a) { return keep_proof(a.proof); },
                 [&](Halt& a) -> Result<void> {
                   halted_ = a.proof.reason;
                   log(Level::kError, "run_halted",
                       {{"run", offer_.plan.run.value()}, {"code", a.proof.code}, {"reason", halted_}});
                   return keep_proof(a.proof);
                 }},
      action);
}

Result<void> RunSession::append(const audit::Event& event) {
  const auto [place, fresh] = logged_.insert(hash_of(audit::type_of(event), audit::encode(event)));
  if (!fresh) return {};
  if (const auto* report = std::get_if<audit::ReportSent>(&event))
    return context_.ledger->note_report(*report, wall_clock());
  SOTTO_TRY([[maybe_unused]] const auto index, context_.log->append(event, wall_clock()));
  return {};
}

wire::HeadBytes RunSession::own_head() const {
  return audit::encode(
      audit::sign_head(context_.log->image(), context_.folder->site().name, context_.folder->identity_key()));
}

// A reservation of this round that was made before a crash is the same one: no byte of it has left.
Result<void> RunSession::reserve(RoundId round) {
  const RunPlan& plan = offer_.plan;
  const auto& rounds = context_.ledger->spending().rounds();
  if (const auto known = rounds.find({plan.run, round}); known != rounds.end()) {
    if (known->second.state == audit::RoundSpend::State::kReserved) return {};
    return refused("the update of round " + std::to_string(round.value()) +
                   " was lost when this site stopped, and is spent; the site sits this round out");
  }
  const Policy& policy = context_.config->policy;
  std::optional<audit::BudgetLimit> limit;
  if (plan.privacy) limit = audit::BudgetLimit{policy.epsilon_limit, policy.delta, policy.own_share_limit};
  SOTTO_TRY(const auto planned,
            audit::planned_round(plan, plan.sites.at(site_.value()), trainer_->dimension_in(round), round));
  return client::reserve({context_.book, context_.log, context_.ledger}, {plan.run, round, planned, limit}, wall_clock());
}

Event RunSession::train(const Train& action) {
  const RunPlan& plan = offer_.plan;
  const RoundId round = action.descriptor.round;
  const auto refuse = [&](const std::string& code, const std::string& reason) -> Event {
    log(Level::kError, "training_refused",
        {{"run", plan.run.value()}, {"round", round.value()}, {"code", code}, {"reason", reason}});
    return TrainingRefused{round, code, reason};
  };
  const auto start = decode_adapter(action.adapter);
  if (!start.ok()) return refuse("bad_adapter", start.error().message);
  if (watch_ && watch_->must_stop())
    return refuse("forgetting", "the model forgets general text beyond what this site allows; it trains no further round");
  if (const auto reserved = reserve(round); !reserved.ok())
    return refuse(reserved.error().code == ErrorCode::kOverBudget ? "over_budget" : "not_reserved",
                  reserved.error().message);

  Progress progress("round " + std::to_string(round.value() + 1) + " of " + std::to_string(plan.rounds) + ", local steps",
                    plan.local_steps);
  auto update = training_->round(*trainer_, {round, *start}, *context_.random, [&](std::uint32_t) { progress.advance(); });
  progress.finish();
  if (!update.ok())
    return refuse("training_failed", "the training engine failed; see this site's own log");  // its message may tell of data
  const SharedLedger shared{context_.book, context_.log, context_.ledger};
  if (const auto committed = client::commit(shared, {plan.run, round, update->events(), {}}, wall_clock()); !committed.ok())
    return refuse("not_as_planned", committed.error().message);
  training_->tell_clipped();

  const auto ring = aggregation::Ring::make(plan.ring, static_cast<std::uint32_t>(plan.sites.size()));
  if (!ring.ok()) return refuse("bad_ring", ring.error().message);
  const double weight = aggregation::relative_weights(plan.sites).at(site_.value());
  Trained trained{round, aggregation::quantize(update->change(), weight, *ring)};
  if (context_.hooks->on_update) context_.hooks->on_update(round, trained.update);
  return trained;
}

AdapterChecked RunSession::check_initial(const CheckInitial& action) const {
  const Digest hash = crypto::sha256(action.adapter);
  const auto published = decode_adapter(action.adapter);
  if (!published.ok()) return {hash, false, published.error().message};
  if (const auto& parent = offer_.plan.parent) {
    const bool same = lineage::weights_of(*published) == *parent;
    return {hash, same, same ? "" : "it is not model " + to_hex(*parent).substr(0, 12) + ", which the plan goes on from"};
  }
  const auto expected = aggregation::initial_adapter(layout_, offer_.plan.seed);
  if (!expected.ok()) return {hash, false, expected.error().message};
  const auto agreed = aggregation::adapters_agree(*expected, *published);
  return {hash, agreed.ok(), agreed.ok() ? "" : agreed.error().message};
}

AdapterChecked RunSession::check_step(const CheckStep& action) const {
  const RunPlan& plan = offer_.plan;
  const Digest hash = crypto::sha256(action.adapter);
  const auto published = decode_adapter(action.adapter);
  if (!published.ok()) return {hash, false, published.error().message};
  const auto previous = decode_adapter(action.previous);
  if (!previous.ok()) return {hash, false, previous.error().message};
  const auto ring = aggregation::Ring::make(plan.ring, static_cast<std::uint32_t>(plan.sites.size()));
  if (!ring.ok()) return {hash, false, ring.error().message};
  const auto weights = aggregation::relative_weights(plan.sites);
  double total = 0;
  for (const SiteIndex s : action.survivors) total += weights.at(s.value());
  const auto mean = aggregation::dequantize_mean(action.sum, total, *ring);
  const auto expected = aggregation::server_step(*previous, mean, aggregation::step_in_round(plan.trained, action.round));
  if (!expected.ok()) return {hash, false, expected.error().message};
  const auto agreed = aggregation::adapters_agree(*expected, *published);
  return {hash, agreed.ok(), agreed.ok() ? "" : agreed.error().message};
}

Result<void> RunSession::keep_proof(const Proof& proof) const {
  const std::string folder = context_.folder->run_folder(offer_.plan.run) + "/proofs";
  SOTTO_TRY_VOID(make_folder(folder, FileMode::kPrivate));
  const Json json = Json::object(
      {{"code", proof.code}, {"reason", proof.reason}, {"first", to_hex(proof.first)}, {"second", to_hex(proof.second)}});
  const std::string text = json.dump(2) + "\n";
  log(Level::kWarning, "proof_kept", {{"code", proof.code}, {"reason", proof.reason}});
  return write_file_atomically(
      folder + "/" + proof.code + "-" + to_hex(crypto::sha256(as_bytes(text))).substr(0, 8) + ".json", text,
      FileMode::kPrivate);
}

// Once a run, and before the log leaves: whatever comes out is logged.
Result<void> RunSession::measure_canaries() {
  const RunPlan& plan = offer_.plan;
  if (plan.canaries == 0 || !adapter_) return {};
  for (std::uint64_t i = 0; i < context_.log->size(); ++i) {
    const auto event = context_.log->event(i);
    const auto* known = std::get_if<audit::AuditMeasured>(&event);
    if (known && known->run == plan.run) return {};
  }
  SOTTO_TRY(const TextModel text, TextModel::load(context_.config->model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(const auto found, measure(make_canaries(plan, context_.folder->run_key()), *adapter_, *model_, chat, plan));
  SOTTO_TRY(const auto result, audit::result_of(found, plan));
  log(Level::kInfo, "canaries_measured",
      {{"run", plan.run.value()},
       {"guesses", found.guesses},
       {"correct", found.correct},
       {"epsilon_lower", result.epsilon_lower},
       {"delta", result.delta}});
  return append(found);
}

Json RunSession::passport() const {
  const RunPlan& plan = offer_.plan;
  const auto& spending = context_.ledger->spending();
  lineage::RunFacts facts{&*adapter_, &plan, plan.parent};
  facts.federated = true;
  facts.precision = model_->precision() == Precision::kBf16 ? "bf16" : "fp32";
  facts.steps = std::uint64_t{plan.rounds} * plan.local_steps;
  facts.epsilon = audit::composed_epsilon(spending.of_run(plan.run), plan.delta);
  const auto all = spending.total(spending.budget_of(plan.run));
  facts.epsilon_with_earlier_runs = audit::composed_epsilon(all, plan.delta);
  facts.neighbours_with_earlier_runs = audit::relation_text(all.events, audit::to_string(plan.unit));
  facts.data = data_facts(data_fingerprint_, plan.sites.at(site_.value()), plan.unit);
  facts.log = log_facts(context_.log->image());
  return lineage::make_passport(facts);
}

Result<void> RunSession::finish(const wire::RunFinished& message) {
  const RunId& run = offer_.plan.run;
  if (!finished_ && adapter_) {
    if (crypto::sha256(encode(*adapter_)) != message.adapter) {
      log(Level::kError, "adapter_differs",
          {{"run", run.value()},
           {"next_step", "ask the coordinator's operator: it names another adapter than the one this site accepted"}});
      return {};
    }
    const std::string folder = context_.folder->run_folder(run) + "/adapter";
    model::AdapterFolder beside{offer_.plan.lora, context_.config->model};
    beside.metadata = metadata_with(passport());
    SOTTO_TRY_VOID(model::save_adapter_folder(folder, *adapter_, beside, model_->config()));
    log(Level::kInfo, "run_finished", {{"run", run.value()}, {"adapter", folder}});
  }
  SOTTO_TRY_VOID(measure_canaries());
  SOTTO_TRY_VOID(append(audit::RunFinished{run, message.adapter}));
  SOTTO_TRY(Bytes bytes, audit::read_log_bytes(context_.log->path()));
  SOTTO_TRY_VOID(context_.send(wire::SiteRecord{run, std::move(bytes), own_head()}));
  finished_ = true;
  return {};
}

}  // namespace sotto::client
