#include "client/train.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "aggregation/fedsvd.h"
#include "base/log.h"
#include "client/engine_check.h"
#include "client/site_data.h"
#include "client/text_model.h"
#include "client/train_run.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"
#include "model/fingerprint.h"
#include "model/lora.h"
#include "model/peft_folder.h"
#include "audit/plan_file.h"

namespace sotto::client {
namespace {

struct Setup {
  audit::PlanFile file;  // its plan is complete: one site, its noise, the model that the site holds
  SiteConfig config;
  std::string out;
};

Error missing(const TrainRequest& request, const std::string& what, const std::string& key, const std::string& option) {
  return invalid(request.plan + ": " + what + " is not named; give [train] " + key + " or " + option);
}

Result<void> take_site(const TrainRequest& request, Setup& in) {
  auto& file = in.file;
  auto& plan = file.plan;
  const std::string config = request.config.empty() ? file.alone.config : request.config;
  if (config.empty()) return missing(request, "the site's configuration", "config", "--config site.toml");
  SOTTO_TRY(in.config, read_site_config(config));
  if (request.declared_size < 0) return invalid("--declared-size is " + std::to_string(request.declared_size) + "; it must be at least 1");
  const auto size = request.declared_size > 0 ? static_cast<std::uint64_t>(request.declared_size) : file.alone.declared_size;
  if (size == 0) return missing(request, "the declared size", "declared_size", "--declared-size N (units, rounded to one or two digits)");
  if (!(plan.expected_batch <= static_cast<double>(size)))
    return invalid(file.path + ": privacy.expected_batch = " + Json(plan.expected_batch).dump() + " is more than the declared " +
                   std::to_string(size) + " units");
  plan.sites = {{"alone", size, plan.expected_batch / static_cast<double>(size), 0, 1.0}};
  SOTTO_TRY(const Digest held, model::model_hash(in.config.model));
  if (plan.model != Digest{} && plan.model != held)
    return refused(file.path + ": model.sha256 is " + to_hex(plan.model).substr(0, 16) + "..., and '" + in.config.model + "' has " +
                   to_hex(held).substr(0, 16) + "...; leave the key out to train the model that the site holds");
  plan.model = held;
  return {};
}

Result<Setup> set_up(const TrainRequest& request) {
  Setup in;
  SOTTO_TRY(in.file, audit::read_plan_file(request.plan, audit::PlanUse::kAlone));
  if (request.no_privacy) {
    in.file.plan.privacy = false;
    in.file.epsilon.reset();
    in.file.noise_multiplier.reset();
  }
  SOTTO_TRY_VOID(take_site(request, in));
  SOTTO_TRY_VOID(audit::set_noise(in.file, in.file.plan));
  if (const auto valid = validate_alone(in.file.plan); !valid.ok()) return audit::in_file(in.file, valid.error());
  in.out = !request.out.empty() ? request.out : !in.file.alone.out.empty() ? in.file.alone.out : "train-" + in.file.plan.run.value();
  return in;
}

struct Data {
  data::DataSet training;
  data::DataSet validation;  // outside the guarantee; may be empty
  std::string validation_name;
};

// The site's records without the held-out patients; the validation set is the file that the plan names, else those patients'.
Result<Data> load_data(const Setup& in, const RunKey& run_key, const PatientBook& book) {
  const RunPlan& plan = in.file.plan;
  SOTTO_TRY(const TextModel text, TextModel::load(in.config.model));
  SOTTO_TRY(const auto chat, text.chat());
  SOTTO_TRY(auto records, read_site_records(in.config, plan.system_prompt));
  if (plan.privacy) SOTTO_TRY_VOID(claim_patients(book, in.config.policy.budget, records));
  data::Split parts = data::split(std::move(records), hold_out_of(run_key, in.config));
  Data out{data::encode(std::move(parts.training), chat, {plan.unit, plan.max_tokens}), {}, "held-out patients of this site"};
  if (out.training.units.empty()) return invalid("the site's data hold no record that can be trained on");
  if (!in.file.alone.validation.empty()) {
    out.validation_name = in.file.alone.validation;
    SOTTO_TRY(parts.held_out, data::read_records(out.validation_name, {plan.system_prompt}));
  }
  out.validation = data::encode(std::move(parts.held_out), chat, {PrivacyUnit::kRecord, plan.max_tokens});
  if (!in.file.alone.validation.empty() && out.validation.examples.empty())
    return invalid("'" + out.validation_name + "' holds no record whose response fits into " + std::to_string(plan.max_tokens) + " tokens");
  return out;
}

// Names the log in the book of the site's patients: two folders never have one name.
Result<void> create_log(audit::EventLog& log, RandomSource& random) {
  audit::SiteCreated created{"alone", {}, {}};
  random.fill(created.salt);
  SOTTO_TRY([[maybe_unused]] const auto index, log.append(created, std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())));
  return {};
}

}  // namespace

Result<void> train(const TrainRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(const Setup in, set_up(request));
  const RunPlan& plan = in.file.plan;
  SOTTO_TRY_VOID(make_folder(in.out, FileMode::kPrivate));
  SOTTO_TRY(const auto lock, FileLock::acquire(in.out + "/lock"));
  crypto::SystemRandom random;
  if (!file_exists(in.out + "/run.key")) SOTTO_TRY_VOID(crypto::write_new_key<RunKey>(in.out + "/run.key", random));
  SOTTO_TRY(const auto run_key, crypto::read_key<RunKey>(in.out + "/run.key"));

  SOTTO_TRY(auto model, model::LanguageModel::load(in.config.model, {in.config.device, plan.precision, in.config.threads}));
  SOTTO_TRY(const auto layout, model::lora_layout(model.config(), plan.lora));
  const auto summary = model::summarize(model.config(), model.weight_bytes(), layout, plan.trained);
  log(Level::kInfo, "training_alone", {{"run", plan.run.value()}, {"adapter", summary.text()}, {"privacy", plan.privacy}});
  SOTTO_TRY_VOID(check_engine(plan, plan.sites.front(), model, random));  // before the first private record
  SOTTO_TRY(const auto book, PatientBook::open(in.config.budget_folder));
  SOTTO_TRY(const Data data, load_data(in, run_key, book));
  SOTTO_TRY(const auto start, aggregation::initial_adapter(layout, plan.seed));
  SOTTO_TRY(auto trainer, model::Trainer::make(model, start, plan.trained, plan.lora.dropout));
  SOTTO_TRY_VOID(trainer.check(data.training));  // so that no step fails, visibly, on what a record holds

  SOTTO_TRY(auto event_log, audit::EventLog::open(in.out + "/log"));
  SOTTO_TRY(auto ledger, audit::Ledger::open(event_log));
  if (event_log.size() == 0) SOTTO_TRY_VOID(create_log(event_log, random));
  TrainRun run({&in.file, &in.config.policy, in.out, &model, &trainer, &data.training, &data.validation, &ledger, &run_key, &event_log, &book}, random);
  SOTTO_TRY(const TrainOutcome outcome, run.go(stop));
  const auto peft = model::peft_config(plan.lora, outcome.adapter.layout, model.config(), in.config.model);
  SOTTO_TRY_VOID(model::save_peft_folder(in.out + "/adapter", outcome.adapter, peft, model.config()));
  Json result = to_json(outcome, plan);
  result.set("precision", model.precision() == Precision::kBf16 ? "bf16" : "fp32");
  result.set("trained_parameters", static_cast<std::int64_t>(summary.trained_parameters));
  result.set("model", to_hex(plan.model));
  result.set("validation_data", Json::object({{"name", data.validation_name}, {"records", data.validation.examples.size()},
                                              {"outside_the_guarantee", true}}));
  result.set("adapter", in.out + "/adapter");
  SOTTO_TRY_VOID(write_file_atomically(in.out + "/summary.json", result.dump(2) + "\n"));
  if (request.json) std::cout << result.dump() << '\n';
  else std::cout << text_of(outcome, plan) << "adapter: " << in.out << "/adapter\n";
  return {};
}

}  // namespace sotto::client
