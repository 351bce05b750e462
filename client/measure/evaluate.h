// `sotto-client eval`: loss, token accuracy and, for answers that are codes, exact and first-three-characters accuracy of a
// model, with or without an adapter, on records that nobody trained on.
#pragma once

#include <string>

#include "base/result.h"
#include "client/text/model_options.h"
#include "plan/run_plan.h"

namespace sotto::client {

struct EvalCommand : ModelOptions {
  std::string adapter;  // PEFT folder; empty: the base model
  std::string data;     // JSON lines
  std::string system_prompt;
  std::string chat_template;  // a well-known one by name; empty: the model's own
  std::string data_key;       // file of the key of sealed data
  std::int64_t max_tokens = 128;
  std::int64_t limit = 0;  // only the first records; 0: all
  bool answers = true;     // generate answers for records whose response holds codes
  bool json = false;
};

Result<void> evaluate(const EvalCommand& command);

// What --precision says: fp32, bf16 or auto.
Result<Precision> precision_of(const std::string& name);

}  // namespace sotto::client
