#include "coordinator/models.h"

#include <algorithm>
#include <iostream>

#include "audit/run/run_timeline.h"
#include "base/clock.h"
#include "coordinator/runs/parent.h"
#include "coordinator/runs/run_history.h"
#include "crypto/hash.h"
#include "crypto/system_random.h"

namespace sotto::coordinator {
namespace {

using lineage::ModelRegistry;

Result<ModelRegistry> open(const CoordinatorFolder& folder) {
  crypto::SystemRandom random;
  return ModelRegistry::open(folder.path() + "/models", folder.identity_key(), random);
}

// The largest of any site's, from the sites' own logs.
struct Epsilons {
  double run = 0;
  double with_earlier_runs = 0;
};
Result<Epsilons> epsilons_of(const std::string& run_path, const RunPlan& plan) {
  SOTTO_TRY(const auto folder, audit::read_run_folder(run_path));
  if (!folder.facts) return invalid("'" + run_path + "' holds no readable record of the run");
  Epsilons out;
  for (const auto& site : audit::history_of(folder).sites) {
    if (!site.delivered)
      return unavailable(
          "site '" + site.name +
          "' has not delivered its log yet, so its epsilon is not known; it arrives when the site connects again");
    out.run = std::max(out.run, audit::composed_epsilon(site.run, plan.delta));
    out.with_earlier_runs = std::max(out.with_earlier_runs, audit::composed_epsilon(site.all, plan.delta));
  }
  return out;
}

Json data_of(const RunPlan& plan) {
  std::uint64_t units = 0;
  for (const auto& site : plan.sites) units += site.declared_size;
  return Json::object({{"sites", plan.sites.size()},
                       {"declared_units", units},
                       {"fingerprint", "each site has its own, in the passport of its copy"}});
}

Result<lineage::Passport> passport_of(const CoordinatorFolder& folder, const RunId& name) {
  SOTTO_TRY(const auto log, audit::read_log(folder.log_path()));
  SOTTO_TRY(const auto history, History::replay(log));
  const auto* run = history.find(name);
  if (!run) return not_found("there is no run '" + name.value() + "'; 'sotto-coordinator runs' lists them");
  const std::string path = folder.run_path(name);
  SOTTO_TRY(const AdapterState adapter, adapter_of(folder, *run));
  SOTTO_TRY(const Epsilons epsilons, epsilons_of(path, run->plan));
  lineage::RunFacts facts{&adapter, &run->plan, run->plan.parent};
  facts.federated = true;
  facts.precision = "each site's own";
  facts.steps = std::uint64_t{run->rounds_over()} * run->plan.local_steps;
  facts.epsilon = epsilons.run;
  facts.epsilon_with_earlier_runs = epsilons.with_earlier_runs;
  facts.data = data_of(run->plan);
  facts.log = Json::object({{"id", to_hex(log.id())}, {"entries", log.records.size()}, {"root", to_hex(log.tree.root())}});
  return lineage::parse_passport(lineage::make_passport(facts).dump(), "run '" + name.value() + "'");
}

}  // namespace

Result<void> register_run(const ModelCommand& command) {
  SOTTO_TRY(const auto folder, CoordinatorFolder::open(command.folder));
  if (!is_valid_name(command.run)) return invalid("'" + command.run + "' is no run name");
  SOTTO_TRY(const auto passport, passport_of(folder, RunId(command.run)));
  SOTTO_TRY(auto registry, open(folder));
  SOTTO_TRY(const auto* model, registry.add(passport, command.query.domain, wall_clock()));
  std::cout << (command.query.json ? lineage::to_json(registry, *model).dump() + "\n" : lineage::line_of(registry, *model));
  return {};
}

void add_model_commands(Command& root, ModelCommand& c) {
  const auto with_folder = [&c](Command& command) -> Command& {
    return command.option("--dir", c.folder, "the coordinator's folder").json(c.query.json);
  };
  root.group("The registry of models");
  with_folder(root.subcommand("register", "take a finished run's model into the registry of models"))
      .option("run", c.run, "the run's name", true)
      .option("--domain", c.query.domain, "the line of models it belongs to", true)
      .example("icd10-2026 --domain icd10")
      .on_run([&c] { return register_run(c); });
  const auto with = [&c](auto action) {
    return [&c, action]() -> Result<void> {
      SOTTO_TRY(const auto folder, CoordinatorFolder::open(c.folder));
      SOTTO_TRY(auto registry, open(folder));
      return action(registry, c.query);
    };
  };
  const auto promote = [](ModelRegistry& registry, const lineage::RegistryQuery& query) -> Result<void> {
    SOTTO_TRY(const auto* model, lineage::promote(registry, query));
    return lineage::write_cards(registry, model->domain);
  };
  lineage::add_registry_commands(root, c.query, with_folder,
                                 {with(lineage::list_models), with(lineage::show_lineage), with(promote),
                                  with(lineage::roll_back), with(lineage::show_card)});
}

}  // namespace sotto::coordinator
