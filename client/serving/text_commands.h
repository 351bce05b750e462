// The commands that read JSON lines on stdin and answer each with one on stdout: tokenize, chat-template, score. A line that
// cannot be answered ends the command with an error that gives the line's number; earlier answers remain.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "client/text/model_options.h"

namespace sotto::client {

struct TextCommand : ModelOptions {
  TextCommand() { precision = "fp32"; }  // a log-likelihood is for comparing
  std::vector<std::string> adapters;     // score: PEFT folders; the first is on where a line does not name one
  std::int64_t top = 10;
  bool decode = false;  // tokenize: ids to text
  bool plain = false;   // tokenize: control tokens in the text are spelled out instead of becoming their ids
  bool bare = false;    // tokenize: without the BOS and EOS that the model puts around a text
  bool add_generation_prompt = false;
  std::string chat_template;  // chat-template: the name of a well-known one; empty: the model's own
  bool json = false;
};

Result<void> tokenize(const TextCommand& command);
Result<void> chat_template(const TextCommand& command);
Result<void> score(const TextCommand& command);

}  // namespace sotto::client
