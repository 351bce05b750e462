#include "client/serving/serving_commands.h"

#include "base/program/stop_signal.h"

namespace sotto::client {
namespace {

Command& with_write_options(Command& command, WriteCommand& write) {
  write.add_to(command)
      .option("--adapter", write.adapters,
              "a PEFT folder; several swap on the loaded model: {\"adapter\": name} in a line, /adapter NAME in a chat")
      .option("--max-tokens", write.max_tokens, "the longest continuation")
      .option("--temperature", write.temperature, "0: the likeliest token always")
      .option("--top-k", write.top_k, "only the k likeliest tokens; 0: all")
      .option("--top-p", write.top_p, "only the likeliest tokens that together have this probability")
      .option("--min-p", write.min_p, "only tokens with this part of the likeliest one's probability")
      .option("--repetition-penalty", write.repetition_penalty, "above 1: tokens that occurred become less likely")
      .option("--seed", write.seed, "the same seed draws the same text")
      .option("--stop", write.stop, "a text that ends an answer; may be given more than once")
      .json(write.json, "JSON lines in and out");
  return add_chat_template(command, write.chat_template);
}

void add_write_commands(Command& root, WriteCommand& write) {
  with_write_options(root.subcommand("generate", "continue texts, from stdin or --prompt"), write)
      .option("--prompt", write.prompt, "one text, instead of stdin")
      .option("--batch", write.batch, "lines that are answered together")
      .example("--model model.gguf --prompt \"The diagnosis is\"")
      .on_run([&write] { return generate(write); });
  with_write_options(root.subcommand("chat", "talk to a model; /reset begins anew"), write)
      .option("--system", write.system, "the system message, in place of the template's own")
      .flag("--compare", write.compare, "the model with and without --adapter, side by side")
      .example("--model model.gguf --adapter site/runs/icd10-2026/adapter --compare")
      .on_run([&write] { return chat(write); });
}

void add_line_commands(Command& root, TextCommand& text) {
  text.add_to(root.subcommand("score", "log-likelihoods and top-k of JSON lines of token ids or text, from stdin"))
      .option("--adapter", text.adapters, "a PEFT folder")
      .option("--top", text.top, "how many of the likeliest next tokens")
      .json(text.json, "machine-readable (always so)")
      .example("--model model.gguf < lines.jsonl")
      .on_run([&text] { return score(text); });
  add_model_file(root.subcommand("tokenize", "text lines to token ids, from stdin; with --json {\"text\"} lines"),
                 text.model)
      .flag("--decode", text.decode, "the other way: {\"ids\"} lines to text")
      .flag("--plain", text.plain,
            "spell out control tokens in the text, as in what users wrote, instead of taking their ids")
      .flag("--bare", text.bare, "without the BOS and EOS that the model puts around a text")
      .json(text.json)
      .example("--model model.gguf < lines.txt")
      .on_run([&text] { return tokenize(text); });
  Command& chat = root.subcommand("chat-template", "{\"messages\"} lines to text, ids and labels, from stdin");
  add_chat_template(add_model_file(chat, text.model), text.chat_template)
      .flag("--add-generation-prompt", text.add_generation_prompt, "end with the assistant's opening")
      .json(text.json, "machine-readable (always so)")
      .example("--model model.gguf < messages.jsonl")
      .on_run([&text] { return chat_template(text); });
}

}  // namespace

void add_text_commands(Command& root, TextOptions& options) {
  root.group("Models and their files");
  add_write_commands(root, options.write);
  add_line_commands(root, options.text);
}

void add_serve_command(Command& root, ServeCommand& s) {
  root.group("In use");
  s.add_to(root.subcommand("serve", "answer this machine's programs over OpenAI's HTTP interface"))
      .option("--adapter", s.adapter, "a PEFT folder")
      .option("--log", s.log,
              "questions and answers, JSON lines, for 'monitor' and 'feedback'; appended to. Without it nothing is logged")
      .option("--key", s.key, "a file with the key that requests must bring")
      .option("--host", s.host, "the address to listen on; others than loopback need --key")
      .option("--port", s.port, "the port; 0: any")
      .option("--chat-template", s.chat_template, "a well-known one by name, instead of the model's own")
      .option("--max-tokens", s.max_tokens, "of an answer, at most")
      .json(s.json)
      .example("--model model.gguf --adapter site/runs/icd10-2026/adapter --port 8080")
      .on_run([&s] { return serve_model(s, stop_on_signals()); });
}

}  // namespace sotto::client
