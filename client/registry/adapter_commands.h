// `sotto-client merge` and `export`: a tuned adapter folded into its model, as a Hugging Face folder or a GGUF file, and an
// adapter alone as llama.cpp takes it. What they write appears whole or not at all.
#pragma once

#include <cstdint>
#include <string>

#include "base/program/cli.h"

namespace sotto::client {

struct MergeCommand {
  std::string model;    // .gguf file or Hugging Face folder
  std::string adapter;  // PEFT folder
  std::string out;      // a new folder
  std::string type = "F32";
  std::int64_t shard_mb = 5000;
  bool json = false;
};
Result<void> merge(const MergeCommand& command);

struct ExportCommand {
  std::string model;
  std::string adapter;  // empty: the base model alone
  std::string to = "gguf";
  std::string out;   // a file
  std::string type;  // empty: F16 for gguf, F32 for gguf-lora
  bool json = false;
};
Result<void> export_model(const ExportCommand& command);

struct AdapterOptions {
  MergeCommand merge;
  ExportCommand exported;
};
// merge and export; `options` outlives the program's run.
void add_adapter_commands(Command& root, AdapterOptions& options);

}  // namespace sotto::client
