#include "client/measure/evaluate_task.h"

#include <array>
#include <iostream>

#include "base/files.h"
#include "client/measure/evaluate.h"
#include "client/measure/run_task.h"
#include "client/measure/site_evaluation.h"
#include "client/text/adapter_file.h"
#include "crypto/hash.h"
#include "evaluation/review_set.h"
#include "model/adapter/peft_folder.h"
#include "model/files/fingerprint.h"

namespace sotto::client {
namespace {

using evaluation::Outcome;
using evaluation::Task;

struct Loaded {
  Task task;
  TextModel text;
  model::LanguageModel model;
};

// Before anything is computed: can its figures leave this site, and does it say where to?
Result<void> check_federated(const TaskCommand& command, const Task& task) {
  if (!command.federated) {
    if (!command.local.empty() || !command.out.empty()) return invalid("--local and --out belong to --federated");
    return {};
  }
  if (task.outside_the_guarantee.empty()) return evaluation::site_sums(task, {}).error();
  if (command.out.empty()) return invalid("--federated writes sums for other sites to see: name their file with --out");
  if (command.adapters.size() > 1)
    return invalid(
        "--federated takes one --adapter, the one that the sites trained together, and what this site trained alone as "
        "--local");
  if (!command.local.empty() && command.adapters.empty()) return invalid("--local needs --adapter beside it");
  if (!command.review.empty()) return invalid("--review is for one site's eyes and does not go with --federated");
  SOTTO_TRY([[maybe_unused]] const auto site, SiteFolder::open(command.folder));
  return {};
}

Result<Loaded> load(const TaskCommand& command) {
  if (command.limit < 0) return invalid("--limit is " + std::to_string(command.limit) + "; it must be 0 (all) or more");
  SOTTO_TRY(auto task, evaluation::read_task(command.task));
  SOTTO_TRY_VOID(check_federated(command, task));
  if (command.limit > 0 && task.items.size() > static_cast<std::size_t>(command.limit))
    task.items.resize(static_cast<std::size_t>(command.limit));
  SOTTO_TRY(const Precision precision, precision_of(command.precision));
  SOTTO_TRY(auto text, TextModel::load(command.model));
  SOTTO_TRY(auto model,
            model::LanguageModel::load(
                command.model, {command.device, precision, static_cast<int>(command.threads), command.quantized_base}));
  return Loaded{std::move(task), std::move(text), std::move(model)};
}

Result<Outcome> run_with(Loaded& in, const std::string& adapter) {
  if (adapter.empty()) {
    in.model.clear_adapter();
    return run_task(in.task, in.model, in.text, "base");
  }
  SOTTO_TRY(const auto state, model::load_peft_folder(adapter, in.model.config()));
  SOTTO_TRY_VOID(in.model.set_adapter(state));
  SOTTO_TRY(auto outcome, run_task(in.task, in.model, in.text, adapter));
  SOTTO_TRY(const Digest weights, weights_of_folder(adapter));
  outcome.weights = to_hex(weights);
  return outcome;
}

// What the numbers are of: `promote` takes them for no other base model.
Result<void> add_identity(const TaskCommand& command, Json& report) {
  SOTTO_TRY(const Digest base, model::model_hash(command.model));
  SOTTO_TRY(const Digest task, crypto::sha256_file(command.task));
  report.set("base_sha256", to_hex(base));
  report.set("task_sha256", to_hex(task));
  return {};
}

Result<void> write_sums(const TaskCommand& command, const Task& task, std::vector<Outcome> outcomes, const Json& identity) {
  constexpr std::array kNames = {"base", "tuned", "local"};
  const std::size_t first = outcomes.front().weights.empty() ? 0 : 1;
  for (std::size_t i = 0; i < outcomes.size(); ++i) outcomes[i].model = kNames.at(first + i);
  SOTTO_TRY(const auto site, SiteFolder::open(command.folder));
  SOTTO_TRY(auto sums, evaluation::site_sums(task, outcomes));
  sums.task_sha256 = identity.at("task_sha256").as_string();
  sums.base_sha256 = identity.at("base_sha256").as_string();
  return write_file_atomically(command.out, signed_evaluation(site, sums).dump(1) + "\n");
}

// One line an item: {"id", "prompt", "models": {name: {"response" or "logprobs", "metrics": {name: [numerator,
// denominator]}}}}
Result<void> write_samples(const std::string& path, const Task& task, const std::vector<Outcome>& outcomes) {
  std::string out;
  for (std::size_t i = 0; i < task.items.size(); ++i) {
    Json models = Json::object();
    for (const auto& outcome : outcomes) {
      Json metrics = Json::object();
      for (const auto& [name, ratio] : outcome.records[i])
        metrics.set(name, Json::array({ratio.numerator, ratio.denominator}));
      Json model = Json::object({{"metrics", std::move(metrics)}});
      if (!outcome.responses.empty()) model.set("response", outcome.responses[i]);
      if (!outcome.logprobs.empty())
        model.set("logprobs", Json(Json::Array(outcome.logprobs[i].begin(), outcome.logprobs[i].end())));
      models.set(outcome.model, std::move(model));
    }
    out += Json::object({{"id", task.items[i].id}, {"prompt", task.items[i].prompt}, {"models", std::move(models)}}).dump() +
           "\n";
  }
  return write_file_atomically(path, out, FileMode::kPrivate);
}

}  // namespace

Result<void> evaluate_task(const TaskCommand& command) {
  if (!command.local.empty()) return invalid("eval takes no --local; compare does");
  if (command.adapters.size() > 1) return invalid("eval takes one --adapter; compare takes several");
  SOTTO_TRY(Loaded in, load(command));
  SOTTO_TRY(const auto outcome, run_with(in, command.adapters.empty() ? "" : command.adapters.front()));
  if (!command.samples.empty()) SOTTO_TRY_VOID(write_samples(command.samples, in.task, {outcome}));
  Json report = evaluation::one_model_json(in.task, outcome);
  SOTTO_TRY_VOID(add_identity(command, report));
  if (command.federated) SOTTO_TRY_VOID(write_sums(command, in.task, {outcome}, report));
  std::cout << (command.json ? report.dump() + "\n" : evaluation::task_text(report));
  return {};
}

Result<void> compare_models(const TaskCommand& command) {
  if (command.adapters.empty()) return invalid("compare needs at least one --adapter FOLDER to set against the base model");
  std::vector<std::string> adapters = command.adapters;
  if (!command.local.empty()) adapters.push_back(command.local);
  for (std::size_t i = 0; i < adapters.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (adapters[i] == adapters[k]) return invalid("adapter '" + adapters[i] + "' is given twice");
  SOTTO_TRY(Loaded in, load(command));
  std::vector<Outcome> outcomes;
  SOTTO_TRY(outcomes.emplace_back(), run_with(in, ""));
  for (const auto& adapter : adapters) {
    SOTTO_TRY(outcomes.emplace_back(), run_with(in, adapter));
  }
  if (!command.samples.empty()) SOTTO_TRY_VOID(write_samples(command.samples, in.task, outcomes));
  if (!command.review.empty())
    SOTTO_TRY_VOID(evaluation::write_review(command.review, in.task, outcomes[outcomes.size() - 2], outcomes.back()));
  Json report = evaluation::task_json(in.task, outcomes);
  SOTTO_TRY_VOID(add_identity(command, report));
  if (command.federated) SOTTO_TRY_VOID(write_sums(command, in.task, outcomes, report));
  std::cout << (command.json ? report.dump() + "\n" : evaluation::task_text(report));
  return {};
}

}  // namespace sotto::client
