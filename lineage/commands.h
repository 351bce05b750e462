// The registry commands that a site and a coordinator share: models, lineage, promote, rollback, card. They print on stdout,
// as JSON with `json`. The caller opens the registry and keeps the files beside its log (adapters, cards).
#pragma once

#include <functional>
#include <string>

#include "base/program/cli.h"
#include "lineage/model_registry.h"

namespace sotto::lineage {

struct RegistryQuery {
  std::string model;  // the beginning of an id
  std::string domain;
  std::string gate;  // GATE.toml
  std::string by;
  std::string reason;
  std::string to;   // rollback: which model; empty: the one before
  std::string out;  // card, lineage: a file
  Evidence evidence;
  bool json = false;
};

Json to_json(const ModelRegistry& registry, const Model& model);
std::string line_of(const ModelRegistry& registry, const Model& model);

Result<void> list_models(const ModelRegistry& registry, const RegistryQuery& query);
Result<void> show_lineage(const ModelRegistry& registry, const RegistryQuery& query);
// Prints every finding; refused when the gate does not let the model through. Returns the model.
Result<const Model*> promote(ModelRegistry& registry, const RegistryQuery& query);
Result<void> roll_back(ModelRegistry& registry, const RegistryQuery& query);
Result<void> show_card(const ModelRegistry& registry, const RegistryQuery& query);
// models/ID/card.md of every promoted model of the domain: cards tell what is in use.
Result<void> write_cards(const ModelRegistry& registry, const std::string& domain);

// Their command lines, each run by the action of its name; `query` outlives the program's run.
struct RegistryActions {
  std::function<Result<void>()> models, lineage, promote, rollback, card;
};
void add_registry_commands(Command& root, RegistryQuery& query, const std::function<Command&(Command&)>& with_folder,
                           RegistryActions actions);

}  // namespace sotto::lineage
