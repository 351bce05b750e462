// The command lines that put a model to use: generate, chat, score, tokenize, chat-template; serve.
#pragma once

#include "base/program/cli.h"
#include "client/serving/conversation.h"
#include "client/serving/serve.h"
#include "client/serving/text_commands.h"

namespace sotto::client {

struct TextOptions {
  WriteCommand write;
  TextCommand text;
};

// `options` and `command` outlive the program's run.
void add_text_commands(Command& root, TextOptions& options);
void add_serve_command(Command& root, ServeCommand& command);

}  // namespace sotto::client
