// Which model a command works with, and how it is loaded: the options that such commands share.
#pragma once

#include <cstdint>
#include <string>

#include "base/program/cli.h"

namespace sotto::client {

struct ModelOptions {
  std::string model;  // .gguf file or Hugging Face folder
  std::string device = "cpu";
  std::string precision = "auto";
  bool quantized_base = false;
  std::int64_t threads = 0;  // of one matrix product; 0: the library's choice

  enum class Model { kRequired, kOptional };
  // --model, --device, --precision, --quantized-base and --threads.
  Command& add_to(Command& command, Model model = Model::kRequired);
};

// --model alone, for commands that read a model's files and run nothing on them.
Command& add_model_file(Command& command, std::string& model, ModelOptions::Model required = ModelOptions::Model::kRequired);
// --chat-template, for commands that put messages to a model.
Command& add_chat_template(Command& command, std::string& name);

}  // namespace sotto::client
