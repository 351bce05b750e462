#include "client/training/train_command.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "audit/run/empirical_result.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/page/svg_plot.h"
#include "client/site/own_log.h"
#include "client/text/adapter_file.h"
#include "client/text/text_model.h"
#include "client/training/canaries.h"
#include "client/training/engine_check.h"
#include "client/training/local_run.h"
#include "client/training/step_forecast.h"
#include "client/training/training_facts.h"
#include "client/training/training_target.h"
#include "crypto/hash.h"
#include "crypto/kdf.h"
#include "crypto/system_random.h"
#include "model/training/process_group.h"

namespace sotto::client {
namespace {

constexpr std::uint64_t kForecastFrom = 20;  // steps; the measurement takes some of them

// A private run's key is random and kept. Without privacy it follows from what the run is, so that the run can be repeated.
Result<RunKey> run_key(const LocalSetup& in, RandomSource& random) {
  if (!in.file.plan.privacy)
    return RunKey(crypto::hkdf_sha256<32>({}, digest_of(in), as_bytes("sotto/run-without-privacy/v1")));
  return own_key(in.out, random);
}

// What is trained, as the first round finds it: fresh or the parent's, after the stages of public text. Kept, so that a
// killed run does not take the stages again.
Result<std::unique_ptr<TrainingTarget>> begin_tuning(const LocalSetup& in, model::LanguageModel& model,
                                                     const data::ChatTemplate& chat, bool leads) {
  const RunPlan& plan = in.file.plan;
  SOTTO_TRY(auto tuning, TrainingTarget::begin(model, plan, {in.start, in.file.alone.dora}));
  tuning->training().recompute_layers(in.config.gradient_checkpointing);
  if (in.file.alone.stages.empty()) return tuning;
  const std::string kept = in.out + "/stages-" + to_hex(digest_of(in)).substr(0, 12);
  if (file_exists(kept)) {
    SOTTO_TRY(const Bytes bytes, read_binary_file(kept));
    ByteReader reader(bytes);
    const std::vector<float> state = reader.floats();
    SOTTO_TRY_VOID(reader.finish("'" + kept + "'"));
    SOTTO_TRY_VOID(tuning->training().set_state(state));
    return tuning;
  }
  SOTTO_TRY_VOID(run_stages(in.file.alone.stages, plan, chat, tuning->training()));
  ByteWriter out;
  out.floats(tuning->training().state());
  if (leads) SOTTO_TRY_VOID(write_file_atomically(kept, out.view(), FileMode::kPrivate));
  return tuning;
}

// Once a training: what the planted canaries show of it, logged whatever it is.
Result<Json> measure_canaries(const LocalContext& context, const AdapterState& adapter, const data::ChatTemplate& chat,
                              audit::EventLog& log) {
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
    SOTTO_TRY([[maybe_unused]] const auto index, log.append(*found, wall_clock()));
  }
  SOTTO_TRY(const auto result, audit::result_of(*found, plan));
  return Json::object({{"canaries", found->canaries},
                       {"guesses", found->guesses},
                       {"correct", found->correct},
                       {"epsilon_lower", result.epsilon_lower},
                       {"delta", result.delta}});
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

lineage::RunFacts facts_of(const LocalContext& context, const LocalOutcome& outcome, const AdapterState& adapter) {
  const LocalSetup& in = *context.setup;
  lineage::RunFacts facts{&adapter, &in.file.plan, in.parent, in.file.alone.domain};
  facts.precision = context.model->precision() == Precision::kBf16 ? "bf16" : "fp32";
  facts.steps = outcome.steps;
  facts.epsilon = outcome.epsilon;
  facts.epsilon_with_earlier_runs = outcome.epsilon_with_earlier_runs;
  facts.neighbours = outcome.relation;
  facts.neighbours_with_earlier_runs = outcome.relation_with_earlier_runs;
  facts.data = data_facts(context.data->fingerprint, in.file.plan.sites.front(), in.file.plan.unit);
  facts.log = log_facts(context.log->image());
  facts.recipe = in.recipe;
  return facts;
}

// What a run leaves beside its ledger; the canaries' result and the forecast are null where there was none.
struct Findings {
  Json canaries;
  Json forecast;
};

Result<Json> save(const LocalContext& context, const TrainingTarget& tuning, const LocalOutcome& outcome,
                  const Findings& findings) {
  const LocalSetup& in = *context.setup;
  const auto& plan = in.file.plan;
  const Json passport = tuning.adapter() ? lineage::make_passport(facts_of(context, outcome, *tuning.adapter())) : Json();
  SOTTO_TRY_VOID(tuning.save(in.out, in.config.model,
                             tuning.adapter() ? metadata_with(passport) : model::FileMetadata{{"format", "pt"}}));
  SOTTO_TRY_VOID(write_curve(in.out + "/curve.svg", outcome.evaluations));
  SOTTO_TRY_VOID(write_own_head(in.out, *context.log, *context.run_key));
  Json result = to_json(outcome, plan);
  result.set("precision", context.model->precision() == Precision::kBf16 ? "bf16" : "fp32");
  result.set("trained_parameters", static_cast<std::int64_t>(tuning.trained_parameters()));
  result.set("dora", in.file.alone.dora);
  result.set("model", to_hex(plan.model));
  result.set("parent", in.parent ? Json(to_hex(*in.parent)) : Json());
  result.set("weights", tuning.adapter() ? passport.at("model") : Json());
  result.set("validation_data", Json::object({{"name", context.data->validation_name},
                                              {"records", context.data->validation.examples.size()},
                                              {"outside_the_guarantee", true}}));
  result.set("recipe", in.recipe);
  result.set("canaries", findings.canaries);
  result.set("peak_memory_bytes", static_cast<std::int64_t>(peak_memory()));
  result.set("forecast", findings.forecast);
  result.set(tuning.name(), in.out + "/" + tuning.name());
  SOTTO_TRY_VOID(write_file_atomically(in.out + "/summary.json", result.dump(2) + "\n"));
  return result;
}

// Where many steps are to come, what one takes is measured first; of several processes, only the first would tell.
Result<Json> forecast_of(const LocalContext& context, RandomSource& random) {
  const RunPlan& plan = context.setup->file.plan;
  if (context.group != nullptr || Silence::holds() || std::uint64_t{plan.rounds} * plan.local_steps < kForecastFrom)
    return Json();
  SOTTO_TRY(const auto forecast, forecast_step(plan, *context.training, context.data->training, random));
  std::cerr << text_of(forecast, plan);
  return Json::object(
      {{"seconds_per_step", forecast.seconds}, {"peak_memory_bytes", static_cast<std::int64_t>(forecast.peak_bytes)}});
}

// The folder and the keys in it, made by the first process; the others wait for them, read and write nothing.
Result<std::optional<FileLock>> prepare_folder(const LocalSetup& in, model::ProcessGroup* group, RandomSource& random) {
  std::optional<FileLock> lock;
  if (group == nullptr || group->rank() == 0) {
    SOTTO_TRY_VOID(make_folder(in.out, FileMode::kPrivate));
    SOTTO_TRY(lock, FileLock::acquire(in.out + "/lock"));
    SOTTO_TRY([[maybe_unused]] const auto key, run_key(in, random));
    SOTTO_TRY([[maybe_unused]] const auto book, PatientBook::open(in.config.budget_folder));
  }
  if (group != nullptr) group->meet();
  return lock;
}

struct Trained {
  LocalOutcome outcome;
  Json summary;
  std::string result;  // the folder of what was trained
};

// What the first process of a run does once everything is ready.
Result<Trained> lead(LocalContext context, TrainingTarget& tuning, const data::ChatTemplate& chat,
                     const std::function<bool()>& stop, RandomSource& random) {
  const LocalSetup& in = *context.setup;
  SOTTO_TRY(auto event_log, audit::EventLog::open(in.out + "/log"));
  SOTTO_TRY_VOID(begin_own_log(event_log, *context.run_key, random));
  if (in.file.plan.privacy) SOTTO_TRY_VOID(check_own_key(in.out, event_log, *context.run_key));
  SOTTO_TRY(auto ledger, audit::Ledger::open(event_log));
  context.ledger = &ledger;
  context.log = &event_log;
  const SharedLedger shared{context.book, &event_log, &ledger};
  const bool is_charged = in.file.plan.privacy && !in.covered;
  std::optional<FileLock> mine;
  if (is_charged) {
    SOTTO_TRY(mine, take_up(shared));
  }
  Findings findings;
  SOTTO_TRY(findings.forecast, forecast_of(context, random));
  tuning.training().share_with(context.group);
  LocalRun run(context, random);
  SOTTO_TRY(LocalOutcome outcome, run.go(stop));
  SOTTO_TRY_VOID(tuning.training().set_state(outcome.state));
  if (tuning.adapter()) {
    SOTTO_TRY(findings.canaries, measure_canaries(context, AdapterState(*tuning.adapter()), chat, event_log));
  }
  if (is_charged) SOTTO_TRY_VOID(keep(shared));
  SOTTO_TRY(Json summary, save(context, tuning, outcome, findings));
  return Trained{std::move(outcome), std::move(summary), in.out + "/" + tuning.name()};
}

// nullopt: this is not the first process of the run.
Result<std::optional<Trained>> carry_out(LocalSetup& in, const std::function<bool()>& stop) {
  const RunPlan& plan = in.file.plan;
  crypto::SystemRandom random;
  SOTTO_TRY(const auto group, model::ProcessGroup::from_environment());
  const bool leads = !group || group->rank() == 0;
  SOTTO_TRY(const auto lock, prepare_folder(in, group.get(), random));
  SOTTO_TRY(const auto key, run_key(in, random));
  SOTTO_TRY(auto model, model::LanguageModel::load(in.config.model, {in.config.device, plan.precision, in.config.threads,
                                                                     in.config.quantized_base}));
  SOTTO_TRY_VOID(take_parent(in, model.config()));
  SOTTO_TRY_VOID(check_engine(plan, plan.sites.front(), model, random));  // before the first private record
  SOTTO_TRY(const auto book, PatientBook::open(in.config.budget_folder));
  SOTTO_TRY(const TextModel text, TextModel::load(in.config.model));
  SOTTO_TRY(const auto chat, text.chat(plan.chat_template));
  SOTTO_TRY(const TrainData data, read_train_data(in, book, key, chat));
  SOTTO_TRY(const auto tuning, begin_tuning(in, model, chat, leads));
  auto& training = tuning->training();
  log(Level::kInfo, "training_alone", {{"run", plan.run.value()}, {"trained", tuning->text()}, {"privacy", plan.privacy}});
  SOTTO_TRY_VOID(training.check(data.training));  // so that no step fails, visibly, on what a record holds
  std::optional<PublicMix> mix;
  if (!in.file.alone.mixture.empty()) {
    SOTTO_TRY(auto sources, read_public(in.file.alone.mixture, plan, chat));
    for (const auto& source : sources) SOTTO_TRY_VOID(training.check(source.data));
    mix.emplace(std::move(sources), in.file.alone.public_share, plan);
  }
  LocalContext context{&in, &model, &training, &data, mix ? &*mix : nullptr, nullptr, nullptr, &book, &key, group.get()};
  if (!leads) {
    training.share_with(group.get());
    SOTTO_TRY_VOID(LocalRun(context, random).serve());
    return std::optional<Trained>();
  }
  SOTTO_TRY(Trained trained, lead(context, *tuning, chat, stop, random));
  return std::optional(std::move(trained));
}

}  // namespace

Result<void> train(const TrainRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(LocalSetup in, set_up(request));
  SOTTO_TRY(const auto trained, carry_out(in, stop));
  if (!trained) return {};
  if (request.json)
    std::cout << trained->summary.dump() << '\n';
  else
    std::cout << text_of(trained->outcome, in.file.plan) << "result: " << trained->result << "\n";
  return {};
}

Result<Json> train_once(const TrainRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(LocalSetup in, set_up(request));
  SOTTO_TRY(auto trained, carry_out(in, stop));
  if (!trained) return unsupported("several processes train one plan with 'train' alone");
  return std::move(trained->summary);
}

Result<void> replay(const ReplayRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(const auto passport, read_passport(request.adapter));
  if (!passport) return not_found("'" + request.adapter + "' has no passport to replay");
  if (passport->plan.privacy)
    return refused("model " + passport->short_id() +
                   " was trained with noise that nobody can draw again; only runs without privacy are replayed");
  if (passport->json.at("trained").as_string() != "alone")
    return refused("model " + passport->short_id() +
                   " is of a federated run, which nobody can train again: no site has the others' records, and each drew "
                   "its samples from its own "
                   "system's generator, which keeps nothing. That the model follows from what the sites sent is in the "
                   "run's record: 'sotto-audit verify' checks it");
  TrainRequest again{request.plan, request.config, "", static_cast<std::int64_t>(passport->plan.sites.front().declared_size),
                     true,         false,          ""};
  SOTTO_TRY(LocalSetup in, set_up(again));
  if (encode(in.file.plan) != encode(passport->plan))
    return refused(request.plan + " is not the plan of model " + passport->short_id() + "; 'passport' shows what it was");
  if (in.recipe.dump() != passport->json.at("recipe").dump())
    return refused(request.plan + " names other public files or settings of [train] than model " + passport->short_id() +
                   " was made with");
  in.out = in.out + ".replay";
  if (file_exists(in.out)) return refused("'" + in.out + "' is in the way; remove it");
  const auto result = carry_out(in, stop);
  std::error_code ignored;
  std::filesystem::remove_all(in.out, ignored);
  if (!result.ok()) return result.error();
  if (!*result) return unsupported("several processes train one plan with 'train' alone");
  const std::string got = (*result)->summary.at("weights").as_string();
  if (in.parent != passport->parent)
    return refused("the plan's parent is not the one that model " + passport->short_id() + " was trained on from");
  if (request.json)
    std::cout << Json::object({{"model", passport->id()}, {"replayed", got}, {"same", got == passport->id()}}).dump()
              << '\n';
  if (got != passport->id())
    return refused("the replay gave model " + got.substr(0, 12) + " instead of " + passport->short_id() +
                   ": the site's records, or the arithmetic of this machine, are not those of the training");
  if (!request.json) std::cout << "the replay gave the same model, " << passport->short_id() << '\n';
  return {};
}

}  // namespace sotto::client
