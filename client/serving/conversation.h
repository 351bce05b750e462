// The commands that let a model write: generate (continue texts) and chat (talk to it, also with and without an adapter side
// by side).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "client/text/model_options.h"

namespace sotto::client {

struct WriteCommand : ModelOptions {
  std::vector<std::string> adapters;  // PEFT folders; the first is on where nothing names another
  std::string prompt;                 // generate: one text, instead of standard input
  std::string chat_template;          // the name of a well-known one; empty: the model's own
  std::string system;                 // chat: the system message; empty: what the template brings
  std::vector<std::string> stop;      // texts that end an answer
  std::int64_t max_tokens = 256;
  std::int64_t batch = 1;  // generate: lines that are answered together
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::int64_t seed = 0;
  bool compare = false;  // chat: the model without an adapter, and with each
  bool json = false;
};

// Reads lines on standard input: texts, or with --json {"text"}, {"ids"} or {"messages"}; writes each continuation as it
// comes, or with --json {"ids", "text", "finish"}. {"adapter": name} in a line names another than the first. A line that
// cannot be answered ends the command with its number.
Result<void> generate(const WriteCommand& command);

// Each line on standard input is what the user says, or with --json {"content"}; the answer comes as it is made, or with
// --json {"content"} ({"base", "tuned"} with --compare, or the adapters' names where there are several). "/reset" begins
// anew, "/adapter NAME" goes on with another adapter, "/adapter" alone with none.
Result<void> chat(const WriteCommand& command);

}  // namespace sotto::client
