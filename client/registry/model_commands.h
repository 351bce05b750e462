// The commands of a site's registry of models (lineage/commands.h), and those that need an adapter's file: register,
// passport. The registry's folder also has registry.key, which signs its log's heads, and models/ID/ with the adapter and
// its card.
#pragma once

#include <string>

#include "lineage/commands.h"

namespace sotto::client {

struct ModelCommand {
  std::string registry = "registry";
  std::string adapter;  // a PEFT folder
  lineage::RegistryQuery query;
};

Result<void> register_model(const ModelCommand& command);
Result<void> show_passport(const ModelCommand& command);

// `command` outlives the program's run.
void add_model_registry_commands(Command& root, ModelCommand& command);

}  // namespace sotto::client
