#include "client/federation/run_session.h"

#include "aggregation/ring.h"
#include "audit/ledger/accounting.h"
#include "audit/log/running_program.h"
#include "audit/run/empirical_result.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/overloaded.h"
#include "base/progress.h"
#include "client/federation/run_passport.h"
#include "client/text/adapter_file.h"
#include "client/text/text_model.h"
#include "client/training/canaries.h"
#include "client/training/engine_check.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "plan/planned_events.h"

namespace sotto::client {

RunSession::RunSession(const SiteContext& context, Offer offer, SiteIndex site)
    : context_(context),
      offer_(std::move(offer)),
      site_(site),
      record_(*context_.folder, *context_.log, *context_.ledger),
      judge_(offer_.plan, {}) {}

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
  SOTTO_TRY(const AdapterLayout layout, model::adapter_layout(model_->config(), plan));
  judge_ = AdapterJudge(plan, layout);
  log(Level::kInfo, "model_loaded",
      {{"run", plan.run.value()},
       {"adapter", model::summarize(model_->config(), model_->weight_bytes(), layout, plan.trained).text()}});
  SOTTO_TRY_VOID(
      check_engine(plan, plan.sites.at(site_.value()), *model_, *context_.random));  // before the first private record
  SOTTO_TRY(data_, load_run_data(
                       {&config, context_.folder, context_.book, &plan, context_.ledger->spending().budget_of(plan.run)}));
  SOTTO_TRY(trainer_, model::AdapterTrainer::make(*model_, model::zero_adapter(layout), plan.trained, plan.lora.dropout));
  trainer_->recompute_layers(config.gradient_checkpointing);
  SOTTO_TRY_VOID(trainer_->check(data_.training));  // so that no step fails, visibly, on what a record holds
  training_.emplace(plan, site_, *trainer_, data_.training, context_.folder->run_key());
  SOTTO_TRY_VOID(training_->check_units());
  SOTTO_TRY(const auto program, audit::this_program(plan.run));
  SOTTO_TRY_VOID(record_.append(program));
  return take_up(layout);
}

// Where the run stood when the site stopped, or its beginning.
Result<void> RunSession::take_up(const AdapterLayout& layout) {
  const RunPlan& plan = offer_.plan;
  const Policy& policy = context_.config->policy;
  SOTTO_TRY(auto coordinator_head, newest_coordinator_head(*context_.log));
  const ParticipantConfig participant{
      plan, offer_.roster, site_, layout, {policy.min_sites, policy.min_colluders}, std::move(coordinator_head)};
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
  for (std::uint64_t i = 0; i < context_.log->size(); ++i) {
    const auto event = context_.log->event(i);
    SOTTO_TRY_VOID(participant_->fits(event));
    const auto* end = std::get_if<audit::RunFinished>(&event);
    over_ = over_ || (end && end->run == plan.run);
  }
  return drive(OwnHead{record_.own_head()});
}

Result<void> RunSession::look_for_forgetting(RoundId next_round) {
  if (!data_.watch) return {};
  SOTTO_TRY_VOID(trainer_->set_adapter(model::Adapter(*adapter_)));
  return data_.watch->look(*model_, next_round.value());
}

Result<void> RunSession::on(wire::ToSite message) {
  if (!halted_.empty()) {
    log(Level::kError, "run_halted", {{"run", offer_.plan.run.value()}, {"reason", halted_}});
    return {};
  }
  if (const auto* done = std::get_if<wire::RunFinished>(&message)) return finish(*done);
  // The run is over here: the result of an earlier round may come again, to be acknowledged, and nothing else.
  const auto* result = std::get_if<wire::RoundResult>(&message);
  if (over_ && !(result && result->header.round < participant_->next_round())) {
    log(Level::kWarning, "run_over", {{"run", offer_.plan.run.value()}});
    return {};
  }
  return drive(FromCoordinator{std::move(message)});
}

Result<void> RunSession::drive(Event event) {
  pending_.push_back(std::move(event));
  while (!pending_.empty() && halted_.empty()) {
    Event next = std::move(pending_.front());
    pending_.erase(pending_.begin());
    const std::uint64_t size_before = context_.log->size();
    for (Action& action : participant_->on(std::move(next))) SOTTO_TRY_VOID(carry_out(std::move(action)));
    if (context_.log->size() != size_before) pending_.push_back(OwnHead{record_.own_head()});
  }
  return {};
}

Result<void> RunSession::carry_out(Action action) {
  return std::visit(
      Overloaded{[&](Persist& a) { return context_.folder->save_state(offer_.plan.run, a.snapshot.reveal()); },
                 [&](Append& a) { return record_.append(a.event); },
                 [&](Send& a) -> Result<void> {
                   if (auto* accepted = std::get_if<wire::Accepted>(&a.message)) accepted->head = record_.own_head();
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
                   pending_.push_back(judge_.initial(a));
                   return {};
                 },
                 [&](CheckStep& a) -> Result<void> {
                   if (context_.hooks->on_sum) context_.hooks->on_sum(a.round, a.survivors, a.sum);
                   pending_.push_back(judge_.step(a));
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
                 [&](KeepProof& a) { return keep_proof(proofs_folder(), a.proof); },
                 [&](Halt& a) -> Result<void> {
                   halted_ = a.proof.reason;
                   log(Level::kError, "run_halted",
                       {{"run", offer_.plan.run.value()}, {"code", a.proof.code}, {"reason", halted_}});
                   return keep_proof(proofs_folder(), a.proof);
                 }},
      action);
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
            plan::planned_round(plan, plan.sites.at(site_.value()), trainer_->dimension_in(round), round));
  return client::reserve(context_.shared(), {plan.run, round, planned, limit}, wall_clock());
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
  if (data_.watch && data_.watch->must_stop())
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
  return record_.append(found);
}

// The coordinator signed it, it is the plan's end or a stop, and it is the end of what this site saw: its rounds, its adapter.
Result<void> RunSession::check_end(const wire::RunFinished& message) const {
  const RunPlan& plan = offer_.plan;
  const crypto::Statement statement{wire::label_of(message),
                                    wire::kCoordinatorName,
                                    plan.run,
                                    RoundId(message.rounds),
                                    AttemptId(0),
                                    offer_.roster_hash,
                                    crypto::sha256(wire::body(message))};
  SOTTO_TRY_VOID(crypto::verify_statement(crypto::VerifyKey(offer_.roster.coordinator), statement, message.signature));
  if (message.rounds > plan.rounds || (message.rounds < plan.rounds) != message.stopped)
    return protocol_error("it ends the run after " + std::to_string(message.rounds) + " of " + std::to_string(plan.rounds) +
                          " rounds, which is neither the plan's end nor a stop");
  const std::uint32_t over = participant_->next_round().value();
  if (message.rounds != over)
    return protocol_error("it ends the run after " + std::to_string(message.rounds) + " rounds, and this site has seen " +
                          std::to_string(over));
  if (adapter_ && crypto::sha256(encode(*adapter_)) != message.adapter)
    return protocol_error("it names another adapter than the one that this site accepted last");
  return {};
}

Result<void> RunSession::finish(const wire::RunFinished& message) {
  const RunId& run = offer_.plan.run;
  if (const auto ok = check_end(message); !ok.ok()) {
    log(Level::kError, "end_not_obeyed",
        {{"run", run.value()}, {"reason", ok.error().message}, {"next_step", "ask the coordinator's operator"}});
    return {};
  }
  if (!finished_ && adapter_) {
    const std::string folder = context_.folder->run_folder(run) + "/adapter";
    model::AdapterFolder beside{offer_.plan.lora, context_.config->model};
    beside.metadata = metadata_with(passport_of({&offer_.plan, site_, &*adapter_, model_->precision(),
                                                 &context_.ledger->spending(), data_.fingerprint, &context_.log->image()}));
    SOTTO_TRY_VOID(model::save_adapter_folder(folder, *adapter_, beside, model_->config()));
    log(Level::kInfo, "run_finished", {{"run", run.value()}, {"adapter", folder}});
  }
  SOTTO_TRY_VOID(measure_canaries());
  SOTTO_TRY_VOID(record_.append(audit::RunFinished{run, message.adapter}));
  over_ = true;
  SOTTO_TRY(Bytes bytes, audit::read_log_bytes(context_.log->path()));
  SOTTO_TRY_VOID(context_.send(wire::SiteRecord{run, std::move(bytes), record_.own_head()}));
  finished_ = true;
  return {};
}

}  // namespace sotto::client
