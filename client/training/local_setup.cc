#include "client/training/local_setup.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "client/site/site_data.h"
#include "client/text/adapter_file.h"
#include "client/training/canaries.h"
#include "crypto/hash.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "model/files/fingerprint.h"

namespace sotto::client {
namespace {

Error missing(const TrainRequest& request, const std::string& what, const std::string& key, const std::string& option) {
  return invalid(request.plan + ": " + what + " is not named; give [train] " + key + " or " + option);
}

Result<void> take_site(const TrainRequest& request, LocalSetup& in) {
  auto& file = in.file;
  auto& plan = file.plan;
  const std::string config = request.config.empty() ? file.alone.config : request.config;
  if (config.empty()) return missing(request, "the site's configuration", "config", "--config site.toml");
  SOTTO_TRY(in.config, read_site_config(config));
  SOTTO_CHECK(request.public_text.empty() || request.no_privacy);
  if (!request.public_text.empty()) in.config.data = {request.public_text};
  if (request.declared_size < 0)
    return invalid("--declared-size is " + std::to_string(request.declared_size) + "; it must be at least 1");
  const auto size = request.declared_size > 0 ? static_cast<std::uint64_t>(request.declared_size) : file.alone.declared_size;
  if (size == 0)
    return missing(request, "the declared size", "declared_size", "--declared-size N (units, rounded to one or two digits)");
  if (!(plan.expected_batch <= static_cast<double>(size)))
    return invalid(file.path + ": privacy.expected_batch = " + Json(plan.expected_batch).dump() +
                   " is more than the declared " + std::to_string(size) + " units");
  plan.sites = {{"alone", size, plan.expected_batch / static_cast<double>(size), 0, 1.0}};
  SOTTO_TRY(const Digest held, model::model_hash(in.config.model));
  if (plan.model != Digest{} && plan.model != held)
    return refused(file.path + ": model.sha256 is " + to_hex(plan.model).substr(0, 16) + "..., and '" + in.config.model +
                   "' has " + to_hex(held).substr(0, 16) + "...; leave the key out to train the model that the site holds");
  plan.model = held;
  return {};
}

Result<Json> file_json(const std::string& file) {
  if (file.empty()) return Json();
  SOTTO_TRY(const Digest sha256, crypto::sha256_file(file));
  return Json::object({{"file", std::filesystem::path(file).filename().string()}, {"sha256", to_hex(sha256)}});
}

Result<Json> mixture_json(const audit::AlonePlan& alone) {
  if (alone.mixture.empty()) return Json();
  Json files = Json::array();
  for (const auto& source : alone.mixture) {
    SOTTO_TRY(Json file, file_json(source.file));
    file.set("weight", source.weight);
    files.push(std::move(file));
  }
  return Json::object({{"share", alone.public_share}, {"data", std::move(files)}});
}

Result<Json> recipe_of(const LocalSetup& in) {
  const auto& alone = in.file.alone;
  SOTTO_TRY(Json stages, stages_json(alone.stages));
  SOTTO_TRY(Json mixture, mixture_json(alone));
  SOTTO_TRY(Json validation, file_json(alone.validation));
  SOTTO_TRY(Json general, file_json(alone.general));
  return Json::object({{"stages", std::move(stages)},
                       {"mixture", std::move(mixture)},
                       {"validation", std::move(validation)},
                       {"held_out_fraction", in.config.holdout_fraction},
                       {"evaluate_every", alone.evaluate_every},
                       {"patience", alone.patience},
                       {"general", std::move(general)},
                       {"forgetting_limit", alone.forgetting_limit},
                       {"forgetting_stops", alone.forgetting_stops},
                       {"dora", alone.dora}});
}

Result<data::DataSet> encoded(const std::string& file, const RunPlan& plan, const data::ChatTemplate& chat) {
  if (file.empty()) return data::DataSet{};
  SOTTO_TRY(auto records, data::read_records(file, {plan.system_prompt, {}}));
  auto out = data::encode(std::move(records), chat, {PrivacyUnit::kRecord, plan.max_tokens});
  if (out.examples.empty())
    return invalid("'" + file + "' holds no record whose response fits into " + std::to_string(plan.max_tokens) + " tokens");
  return out;
}

// What is trained decides what it can have.
Result<void> can_be_trained(const TrainRequest& request, const LocalSetup& in) {
  const auto& plan = in.file.plan;
  const bool is_lora = plan.trained != TrainedPart::kFull && plan.trained != TrainedPart::kPrompt && !in.file.alone.dora;
  if (in.file.alone.dora && plan.privacy)
    return refused(request.plan +
                   ": lora.dora is true, and DoRA is not trained under privacy: noise on B would enter the norm that "
                   "each row is divided by (docs/adapters.md); leave it out for LoRA, or give --no-privacy");
  if (!is_lora && !in.file.alone.parent.empty())
    return unsupported(request.plan +
                       ": train.parent is for LoRA adapters in this version, not for a prompt, DoRA or a whole model");
  if (!is_lora && plan.canaries > 0)
    return unsupported(request.plan + ": canaries are measured on LoRA adapters in this version; leave audit.canaries out");
  return {};
}

// Full fine-tuning moves the base itself.
Result<void> can_be_moved(const TrainRequest& request, const SiteConfig& config) {
  const std::string full = request.plan + ": trained = \"full\" ";
  if (config.quantized_base)
    return unsupported(full +
                       "moves the base, which quantized_base = true of the site's configuration keeps as its file has it; "
                       "leave one of them out");
  if (config.device.find(',') != std::string::npos)
    return unsupported(full + "needs the whole model on one device in this version, not on \"" + config.device + "\"");
  return {};
}

// What is told of these files is exact, and covered by nothing.
Result<void> check_files_outside(const LocalSetup& in, const PatientBook& book) {
  const auto& alone = in.file.alone;
  std::vector<OutsideFile> files;
  if (!in.public_text.empty()) files.push_back({"public text", in.public_text});
  if (!alone.validation.empty()) files.push_back({"train.validation", alone.validation});
  if (!alone.general.empty()) files.push_back({"train.general", alone.general});
  for (const auto& source : alone.mixture) files.push_back({"train.mixture", source.file});
  for (const auto& stage : alone.stages) {
    for (const auto& source : stage.sources) files.push_back({"train.stage", source.file});
  }
  for (const auto& file : files) SOTTO_TRY_VOID(check_outside(book, file, in.file.plan.privacy));
  return {};
}

}  // namespace

Result<LocalSetup> set_up(const TrainRequest& request) {
  LocalSetup in;
  SOTTO_TRY(in.file, audit::read_plan_file(request.plan, audit::PlanUse::kAlone));
  if (request.no_privacy) {
    in.file.plan.privacy = false;
    in.file.epsilon.reset();
    in.file.noise_multiplier.reset();
  }
  SOTTO_TRY_VOID(can_be_trained(request, in));
  SOTTO_TRY_VOID(take_site(request, in));
  if (in.file.plan.trained == TrainedPart::kFull) SOTTO_TRY_VOID(can_be_moved(request, in.config));
  SOTTO_TRY_VOID(audit::set_noise(in.file, in.file.plan));
  if (const auto valid = validate_alone(in.file.plan); !valid.ok()) return audit::in_file(in.file, valid.error());
  in.out = !request.out.empty()         ? request.out
           : !in.file.alone.out.empty() ? in.file.alone.out
                                        : "train-" + in.file.plan.run.value();
  SOTTO_TRY(in.recipe, recipe_of(in));
  in.covered = request.covered;
  in.public_text = request.public_text;
  return in;
}

Result<void> take_parent(LocalSetup& in, const model::ModelConfig& config) {
  const std::string& folder = in.file.alone.parent;
  if (folder.empty()) return {};
  SOTTO_TRY(const auto passport, read_passport(folder));
  if (!passport)
    return refused("'" + folder +
                   "' has no passport, so nobody can say what its training has cost; go on from an adapter that 'train' or "
                   "a run has made");
  if (passport->base != in.file.plan.model)
    return refused("'" + folder + "' is of base model " + to_hex(passport->base).substr(0, 16) +
                   "..., and this site holds " + to_hex(in.file.plan.model).substr(0, 16) + "...");
  SOTTO_TRY(auto adapter, model::load_peft_folder(folder, config));
  SOTTO_TRY(const auto layout, model::adapter_layout(config, in.file.plan));
  if (adapter.lora.layout != layout || adapter.is_dora() || !adapter.replaced.empty())
    return refused(in.file.path + ": [lora] asks for other modules, ranks or scales than the parent '" + folder +
                   "' has; a run goes on with its parent's");
  in.parent = passport->model;
  in.start = std::move(adapter.lora);
  return {};
}

Digest digest_of(const LocalSetup& setup) {
  ByteWriter out;
  out.text("sotto/training/v1")
      .bytes(encode(setup.file.plan))
      .text(setup.recipe.dump())
      .raw(setup.parent.value_or(Digest{}));
  return crypto::sha256(out.view());
}

Result<TrainData> read_train_data(const LocalSetup& in, const PatientBook& book, const RunKey& key,
                                  const data::ChatTemplate& chat) {
  const RunPlan& plan = in.file.plan;
  TrainData out;
  SOTTO_TRY(auto records, read_site_records(in.config, plan.system_prompt));
  out.fingerprint = fingerprint_of(book, records);
  data::Split parts = data::split(std::move(records), hold_out_of(book, in.config));
  SOTTO_TRY_VOID(plan.privacy ? claim_patients(book, in.config.policy.budget, parts) : check_held_out(book, parts.held_out));
  SOTTO_TRY_VOID(check_files_outside(in, book));
  std::ranges::move(planted_of(make_canaries(plan, key)), std::back_inserter(parts.training));
  out.training = data::encode(std::move(parts.training), chat, {plan.unit, plan.max_tokens});
  if (out.training.units.empty())
    return invalid("the site's data hold no record that can be trained on: " +
                   (out.training.refused > 0
                        ? out.training.refusal
                        : "no response begins within training.max_tokens = " + std::to_string(plan.max_tokens) +
                              " tokens; raise it, or see 'sotto-client data check'"));
  out.validation_name = "held-out patients of this site";
  if (in.file.alone.validation.empty()) {
    out.validation = data::encode(std::move(parts.held_out), chat, {PrivacyUnit::kRecord, plan.max_tokens});
  } else {
    out.validation_name = in.file.alone.validation;
    SOTTO_TRY(out.validation, encoded(in.file.alone.validation, plan, chat));
  }
  SOTTO_TRY(out.general, encoded(in.file.alone.general, plan, chat));
  return out;
}

}  // namespace sotto::client
