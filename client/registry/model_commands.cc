#include "client/registry/model_commands.h"

#include <iostream>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/files.h"
#include "client/text/adapter_file.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"
#include "lineage/card.h"

namespace sotto::client {
namespace {

using lineage::ModelRegistry;

// The key outlives the registry that it signs for.
struct Opened {
  crypto::SigningKey key;
  std::optional<ModelRegistry> registry;
};

enum class Missing { kMake, kRefuse };

Result<std::unique_ptr<Opened>> open(const std::string& folder, Missing missing = Missing::kRefuse) {
  crypto::SystemRandom random;
  const std::string key_file = folder + "/registry.key";
  if (!file_exists(key_file)) {
    if (missing == Missing::kRefuse)
      return not_found("'" + folder + "' is no registry of models; 'register ADAPTER --registry " + folder + "' makes one");
    if (file_exists(folder + "/log"))
      return refused("'" + folder +
                     "' has a log and no registry.key; restore the key from a backup, or name another folder");
    SOTTO_TRY_VOID(make_own_folder(folder));
    SOTTO_TRY_VOID(crypto::write_new_key<crypto::SigningKey>(key_file, random));
  }
  SOTTO_TRY(auto key, crypto::read_key<crypto::SigningKey>(key_file));
  auto opened = std::make_unique<Opened>(Opened{std::move(key), std::nullopt});
  SOTTO_TRY(auto registry, ModelRegistry::open(folder, opened->key, random));
  opened->registry.emplace(std::move(registry));
  return opened;
}

// The registry's own copy of a model; once it was promoted, its passport says so.
Result<void> keep_adapter(const ModelRegistry& registry, const lineage::Model& model, const std::string& adapter) {
  const std::string folder = registry.model_folder(model.passport.model);
  const auto* promotion = lineage::promotion_of(registry, model);
  SOTTO_TRY_VOID(make_own_folder(folder));
  return copy_adapter(adapter, folder + "/adapter",
                      promotion ? lineage::passport_after(model, *promotion) : model.passport.json);
}

Result<void> promote_model(const ModelCommand& command) {
  SOTTO_TRY(const auto opened, open(command.registry));
  auto& registry = *opened->registry;
  SOTTO_TRY(const auto* model, lineage::promote(registry, command.query));
  SOTTO_TRY_VOID(keep_adapter(registry, *model, registry.model_folder(model->passport.model) + "/adapter"));
  return lineage::write_cards(registry, model->domain);
}

}  // namespace

Result<void> register_model(const ModelCommand& command) {
  SOTTO_TRY(const auto passport, read_passport(command.adapter));
  if (!passport)
    return refused("'" + command.adapter +
                   "' has no passport: it was not made by 'sotto-client train' or a run of this version, so nobody can say "
                   "what it was trained on");
  SOTTO_TRY(const auto opened, open(command.registry, Missing::kMake));
  auto& registry = *opened->registry;
  SOTTO_TRY(const auto* model, registry.add(*passport, command.query.domain, wall_clock()));
  SOTTO_TRY_VOID(keep_adapter(registry, *model, command.adapter));
  std::cout << (command.query.json ? lineage::to_json(registry, *model).dump() + "\n" : lineage::line_of(registry, *model));
  return {};
}

Result<void> show_passport(const ModelCommand& command) {
  SOTTO_TRY(const auto passport, read_passport(command.adapter));
  if (!passport) return not_found("'" + command.adapter + "' has no passport: it was not made by this program");
  std::cout << passport->json.dump(2) << '\n';
  return {};
}

void add_model_registry_commands(Command& root, ModelCommand& c) {
  const auto with_registry = [&c](Command& command) -> Command& {
    return command.option("--registry", c.registry, "the registry's folder").json(c.query.json);
  };
  root.group("The registry of models");
  with_registry(root.subcommand("register", "take an adapter with its passport into the registry of models"))
      .option("adapter", c.adapter, "a PEFT folder that 'train' or a run has made", true)
      .option("--domain", c.query.domain, "the line of models it belongs to; default: as its passport says")
      .example("train-alone/adapter --domain icd10")
      .on_run([&c] { return register_model(c); });
  root.subcommand("passport", "what an adapter says of itself: base, parent, plan, privacy, evaluations")
      .option("adapter", c.adapter, "a PEFT folder", true)
      .json(c.query.json, "machine-readable (always so)")
      .example("train-alone/adapter")
      .on_run([&c] { return show_passport(c); });
  const auto reading = [&c](Result<void> (*action)(const ModelRegistry&, const lineage::RegistryQuery&)) {
    return [&c, action]() -> Result<void> {
      SOTTO_TRY(const auto opened, open(c.registry));
      return action(*opened->registry, c.query);
    };
  };
  const auto roll_back = [&c]() -> Result<void> {
    SOTTO_TRY(const auto opened, open(c.registry));
    return lineage::roll_back(*opened->registry, c.query);
  };
  lineage::add_registry_commands(root, c.query, with_registry,
                                 {reading(lineage::list_models), reading(lineage::show_lineage),
                                  [&c] { return promote_model(c); }, roll_back, reading(lineage::show_card)});
}

}  // namespace sotto::client
