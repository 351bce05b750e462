// The commands around a registry of models (lineage/model_registry.h): register, models, lineage, passport, promote, rollback,
// card. A registry's folder also has registry.key, which signs its log's heads, and models/ID/ with the adapter and its card.
#pragma once

#include <string>

#include "base/cli.h"
#include "lineage/gate.h"

namespace sotto::client {

struct ModelCommand {
  std::string registry = "registry";
  std::string adapter;  // a PEFT folder
  std::string model;    // the beginning of an id
  std::string domain;
  std::string gate;  // GATE.toml
  std::string by;
  std::string reason;
  std::string to;   // rollback: which model; empty: the one before
  std::string out;  // card, lineage: a file
  lineage::Evidence evidence;
  bool json = false;
};

Result<void> register_model(const ModelCommand& command);
Result<void> list_models(const ModelCommand& command);
Result<void> show_lineage(const ModelCommand& command);
Result<void> show_passport(const ModelCommand& command);
Result<void> promote_model(const ModelCommand& command);
Result<void> roll_back_model(const ModelCommand& command);
Result<void> write_card(const ModelCommand& command);

// Their command lines; `command` outlives the program's run.
void add_registry_commands(Command& root, ModelCommand& command);

}  // namespace sotto::client
