#include "client/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "aggregation/fedsvd.h"
#include "audit/empirical_result.h"
#include "audit/signed_head.h"
#include "audit/svg_plot.h"
#include "base/log.h"
#include "client/adapter_file.h"
#include "client/canaries.h"
#include "client/engine_check.h"
#include "client/text_model.h"
#include "client/train_run.h"
#include "client/training_facts.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"
#include "model/lora.h"
#include "model/peft_folder.h"

namespace sotto::client {
namespace {

audit::Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

// A private run's key is random and kept. Without privacy it follows from what the run is, so that the run can be repeated.
Result<RunKey> run_key(const TrainSetup& in, RandomSource& random) {
  if (!in.file.plan.privacy)
    return RunKey(crypto::hkdf_sha256<32>({}, digest_of(in), as_bytes("sotto/run-without-privacy/v1")));
  const std::string file = in.out + "/run.key";
  if (!file_exists(file)) SOTTO_TRY_VOID(crypto::write_new_key<RunKey>(file, random));
  return crypto::read_key<RunKey>(file);
}

// The key under which the folder's log is signed.
crypto::SigningKey signing_key(const RunKey& key) {
  return crypto::SigningKey(crypto::hkdf_sha256<32>({}, key.reveal(), as_bytes("sotto/train-identity/v1")));
}

// A log's first entry makes its id unlike any other's: the book of patients tells logs apart by it.
Result<void> begin_log(audit::EventLog& log, const RunKey& key, RandomSource& random) {
  if (log.size() > 0) return {};
  audit::SiteCreated created{"alone", crypto::verify_key(signing_key(key)).value(), {}};
  random.fill(created.salt);
  SOTTO_TRY([[maybe_unused]] const auto index, log.append(created, now()));
  return {};
}

// The adapter that the first round starts with: a fresh one or the parent's, after the stages of public text. Kept, so that a
// killed run does not take the stages again.
Result<AdapterState> first_adapter(const TrainSetup& in, model::LanguageModel& model, const data::ChatTemplate& chat) {
  const RunPlan& plan = in.file.plan;
  SOTTO_TRY(const auto layout, model::lora_layout(model.config(), plan.lora));
  SOTTO_TRY(AdapterState start, in.start ? Result<AdapterState>(*in.start) : aggregation::initial_adapter(layout, plan.seed));
  if (in.file.alone.stages.empty()) return start;
  const std::string kept = in.out + "/stages-" + to_hex(digest_of(in)).substr(0, 12);
  if (file_exists(kept)) {
    SOTTO_TRY(const Bytes bytes, read_binary_file(kept));
    return decode_adapter(bytes);
  }
  SOTTO_TRY(auto trainer, model::Trainer::make(model, start, plan.trained, 0));
  SOTTO_TRY_VOID(run_stages(in.file.alone.stages, plan, chat, trainer));
  SOTTO_TRY_VOID(write_file_atomically(kept, encode(trainer.adapter())));
  return trainer.adapter();
}

// Once a training: what the planted canaries show of it, logged whatever it is.
Result<Json> measure_canaries(const TrainContext& context, const AdapterState& adapter, const data::ChatTemplate& chat, audit::EventLog& log) {
  const RunPlan& plan = context.setup->file.plan;
  if (plan.canaries == 0) return Json();
  const Digest hash = crypto::sha256(encode(adapter));
  std::optional<audit::AuditMeasured> found;
  for (std::uint64_t i = 0; i < log.size(); ++i) {
    const auto event = log.event(i);
    const auto* known = std::get_if<audit::AuditMeasured>(&event);
    if (known && known->adapter == hash) found = *known;
  }
  if (!found) {
    SOTTO_TRY(found, measure(make_canaries(plan, *context.run_key), adapter, *context.model, chat, plan));
    SOTTO_TRY([[maybe_unused]] const auto index, log.append(*found, now()));
  }
  SOTTO_TRY(const auto result, audit::result_of(*found, plan));
  return Json::object({{"canaries", found->canaries}, {"guesses", found->guesses}, {"correct", found->correct}, {"epsilon_lower", result.epsilon_lower}, {"delta", result.delta}});
}

Result<void> write_curve(const std::string& path, const std::vector<Evaluation>& evaluations) {
  audit::Plot plot{"Loss on data outside the guarantee", "steps", "nats a token", false, {}, false};
  audit::PlotSeries domain{"validation", {}}, general{"general text", {}};
  for (const auto& e : evaluations) {
    if (e.loss > 0) domain.points.emplace_back(static_cast<double>(e.step), e.loss);
    if (e.general > 0) general.points.emplace_back(static_cast<double>(e.step), e.general);
  }
  for (auto* series : {&domain, &general})
    if (series->points.size() > 1) plot.series.push_back(*series);
  if (plot.series.empty()) return {};
  return write_file_atomically(path, audit::svg_of(plot));
}

lineage::RunFacts facts_of(const TrainContext& context, const TrainOutcome& outcome) {
  const TrainSetup& in = *context.setup;
  lineage::RunFacts facts{&outcome.adapter, &in.file.plan, in.parent, in.file.alone.domain};
  facts.precision = context.model->precision() == Precision::kBf16 ? "bf16" : "fp32";
  facts.steps = outcome.steps;
  facts.epsilon = outcome.epsilon;
  facts.epsilon_with_earlier_runs = outcome.epsilon_with_earlier_runs;
  facts.data = data_facts(context.data->fingerprint, in.file.plan.sites.front(), in.file.plan.unit);
  facts.log = log_facts(context.log->image());
  facts.recipe = in.recipe;
  return facts;
}

Result<Json> save(const TrainContext& context, const TrainOutcome& outcome, const Json& canaries) {
  const TrainSetup& in = *context.setup;
  const auto& plan = in.file.plan;
  auto& model = *context.model;
  const Json passport = lineage::make_passport(facts_of(context, outcome));
  const auto peft = model::peft_config(plan.lora, outcome.adapter.layout, model.config(), in.config.model);
  SOTTO_TRY_VOID(model::save_peft_folder(in.out + "/adapter", outcome.adapter, peft, model.config(), metadata_with(passport)));
  SOTTO_TRY_VOID(write_curve(in.out + "/curve.svg", outcome.evaluations));
  SOTTO_TRY_VOID(write_file_atomically(in.out + "/head.json", audit::to_json(audit::sign_head(context.log->image(), "alone", signing_key(*context.run_key))).dump(2) + "\n"));
  const auto summary = model::summarize(model.config(), model.weight_bytes(), outcome.adapter.layout, plan.trained);
  Json result = to_json(outcome, plan);
  result.set("precision", model.precision() == Precision::kBf16 ? "bf16" : "fp32");
  result.set("trained_parameters", static_cast<std::int64_t>(summary.trained_parameters));
  result.set("model", to_hex(plan.model));
  result.set("parent", in.parent ? Json(to_hex(*in.parent)) : Json());
  result.set("weights", passport.at("model"));
  result.set("validation_data", Json::object({{"name", context.data->validation_name}, {"records", context.data->validation.examples.size()},
                                              {"outside_the_guarantee", true}}));
  result.set("recipe", in.recipe);
  result.set("canaries", canaries);
  result.set("adapter", in.out + "/adapter");
  SOTTO_TRY_VOID(write_file_atomically(in.out + "/summary.json", result.dump(2) + "\n"));
  return result;
}

struct Trained {
  TrainOutcome outcome;
  Json summary;
};

Result<Trained> carry_out(TrainSetup& in, const std::function<bool()>& stop) {
  const RunPlan& plan = in.file.plan;
  SOTTO_TRY_VOID(make_folder(in.out, FileMode::kPrivate));
  SOTTO_TRY(const auto lock, FileLock::acquire(in.out + "/lock"));
  crypto::SystemRandom random;
  SOTTO_TRY(auto model, model::LanguageModel::load(in.config.model, {in.config.device, plan.precision, in.config.threads}));
  SOTTO_TRY_VOID(take_parent(in, model.config()));
  SOTTO_TRY(const auto key, run_key(in, random));
  SOTTO_TRY(const auto layout, model::lora_layout(model.config(), plan.lora));
  log(Level::kInfo, "training_alone",
      {{"run", plan.run.value()}, {"adapter", model::summarize(model.config(), model.weight_bytes(), layout, plan.trained).text()}, {"privacy", plan.privacy}});
  SOTTO_TRY_VOID(check_engine(plan, plan.sites.front(), model, random));  // before the first private record
  SOTTO_TRY(const auto book, PatientBook::open(in.config.budget_folder));
  SOTTO_TRY(const TextModel text, TextModel::load(in.config.model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(const TrainData data, read_train_data(in, book, key, chat));
  SOTTO_TRY(const auto start, first_adapter(in, model, chat));
  SOTTO_TRY(auto trainer, model::Trainer::make(model, start, plan.trained, plan.lora.dropout));
  SOTTO_TRY_VOID(trainer.check(data.training));  // so that no step fails, visibly, on what a record holds
  std::optional<PublicMix> mix;
  if (!in.file.alone.mixture.empty()) {
    SOTTO_TRY(auto sources, read_public(in.file.alone.mixture, plan, chat));
    for (const auto& source : sources) SOTTO_TRY_VOID(trainer.check(source.data));
    mix.emplace(std::move(sources), in.file.alone.public_share, plan);
  }

  SOTTO_TRY(auto event_log, audit::EventLog::open(in.out + "/log"));
  SOTTO_TRY_VOID(begin_log(event_log, key, random));
  SOTTO_TRY(auto ledger, audit::Ledger::open(event_log));
  const TrainContext context{&in, &model, &trainer, &data, mix ? &*mix : nullptr, &ledger, &event_log, &book, &key};
  TrainRun run(context, random);
  SOTTO_TRY(TrainOutcome outcome, run.go(stop));
  SOTTO_TRY(const Json canaries, measure_canaries(context, outcome.adapter, chat, event_log));
  SOTTO_TRY(Json summary, save(context, outcome, canaries));
  return Trained{std::move(outcome), std::move(summary)};
}

}  // namespace

Result<void> train(const TrainRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(TrainSetup in, set_up(request));
  SOTTO_TRY(const Trained trained, carry_out(in, stop));
  if (request.json) std::cout << trained.summary.dump() << '\n';
  else std::cout << text_of(trained.outcome, in.file.plan) << "adapter: " << in.out << "/adapter\n";
  return {};
}

Result<Json> train_once(const TrainRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(TrainSetup in, set_up(request));
  SOTTO_TRY(Trained trained, carry_out(in, stop));
  return std::move(trained.summary);
}

Result<void> replay(const ReplayRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(const auto passport, read_passport(request.adapter));
  if (!passport) return not_found("'" + request.adapter + "' has no passport to replay");
  if (passport->plan.privacy)
    return refused("model " + passport->short_id() + " was trained with noise that nobody can draw again; only runs without privacy are replayed");
  if (passport->json.at("trained").as_string() != "alone") return unsupported("a federated run is not replayed in this version; only what one site trained alone");
  TrainRequest again{request.plan, request.config, "", static_cast<std::int64_t>(passport->plan.sites.front().declared_size), true, false, ""};
  SOTTO_TRY(TrainSetup in, set_up(again));
  if (encode(in.file.plan) != encode(passport->plan)) return refused(request.plan + " is not the plan of model " + passport->short_id() + "; 'passport' shows what it was");
  if (in.recipe.dump() != passport->json.at("recipe").dump()) return refused(request.plan + " names other public files or settings of [train] than model " + passport->short_id() + " was made with");
  in.out = in.out + ".replay";
  if (file_exists(in.out)) return refused("'" + in.out + "' is in the way; remove it");
  const auto result = carry_out(in, stop);
  std::error_code ignored;
  std::filesystem::remove_all(in.out, ignored);
  if (!result.ok()) return result.error();
  const std::string got = result->summary.at("weights").as_string();
  if (in.parent != passport->parent) return refused("the plan's parent is not the one that model " + passport->short_id() + " was trained on from");
  if (request.json) std::cout << Json::object({{"model", passport->id()}, {"replayed", got}, {"same", got == passport->id()}}).dump() << '\n';
  if (got != passport->id())
    return refused("the replay gave model " + got.substr(0, 12) + " instead of " + passport->short_id() + ": the site's records, or the arithmetic of this machine, are not those of the training");
  if (!request.json) std::cout << "the replay gave the same model, " << passport->short_id() << '\n';
  return {};
}

}  // namespace sotto::client
