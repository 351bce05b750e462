// sotto-client: the program of the engineer at a data-owning site.
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/cli.h"
#include "base/log.h"
#include "client/adapter_commands.h"
#include "client/enrol.h"
#include "client/evaluate.h"
#include "client/operator_commands.h"
#include "client/site.h"
#include "client/text_commands.h"

namespace {

using namespace sotto;
using namespace sotto::client;

volatile std::sig_atomic_t stop_asked = 0;
void ask_to_stop(int) { stop_asked = 1; }

struct Options {
  std::string folder = "site";
  JoinRequest join;
  DecisionRequest decision;
  TextCommand text;
  EvalCommand eval;
  MergeCommand merge;
  ExportCommand exported;
  std::string doctor_config;
  bool exit_when_finished = false;
  bool json = false;
};

Result<void> run(const Options& o) {
  SOTTO_TRY(const auto folder, SiteFolder::open(o.folder));
  SOTTO_TRY(const auto config, read_site_config(folder.site().config));
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return run_site(folder, config, {o.exit_when_finished, [] { return stop_asked != 0; }});
}

void add_site_commands(Command& root, Options& o) {
  root.subcommand("join", "enrol at a coordinator with the code that its operator sent")
      .option("code", o.join.code, "the invite code", true)
      .option("--dir", o.folder, "the site's folder, made here")
      .option("--config", o.join.config, "the site's configuration (site.toml)", true)
      .option("--declared-size", o.join.declared_size, "number of patients, rounded to one or two digits", true)
      .on_run([&o] { o.join.folder = o.folder; return join(o.join); });
  root.subcommand("run", "stay connected and take part in the runs that were approved")
      .option("--dir", o.folder, "the site's folder")
      .flag("--exit-when-finished", o.exit_when_finished, "end after the first run that finishes")
      .on_run([&o] { return run(o); });
  root.subcommand("approve", "look at a run's plan and roster and approve them")
      .option("run", o.decision.run, "the run's name", true)
      .option("--dir", o.folder, "the site's folder")
      .option("--roster", o.decision.roster, "the roster's fingerprint, as told by another way; approves only that one")
      .flag("--yes", o.decision.yes, "approve without asking")
      .on_run([&o] { o.decision.folder = o.folder; return approve(o.decision); });
  root.subcommand("refuse", "refuse a run")
      .option("run", o.decision.run, "the run's name", true)
      .option("--dir", o.folder, "the site's folder")
      .option("--reason", o.decision.reason, "a sentence for the coordinator's operator")
      .on_run([&o] { o.decision.folder = o.folder; return refuse(o.decision); });
  root.subcommand("status", "this site and its runs")
      .option("--dir", o.folder, "the site's folder")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return status(o.folder, o.json); });
  root.subcommand("budget", "what was spent, is reserved, and is left of the privacy budget")
      .option("--dir", o.folder, "the site's folder")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return budget(o.folder, o.json); });
  root.subcommand("doctor", "check model, data and device; prints the model's fingerprint")
      .option("--dir", o.folder, "the site's folder")
      .option("--config", o.doctor_config, "a site.toml instead of a site's folder")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return doctor(o.folder, o.doctor_config, o.json); });
}

void add_model_commands(Command& root, Options& o) {
  root.subcommand("fingerprint", "the SHA-256 by which a plan names a model")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return show_fingerprint(o.text.model, o.json); });
  root.subcommand("eval", "loss, token accuracy and code accuracy on held-out records")
      .option("--model", o.eval.model, "a .gguf file or a Hugging Face folder", true)
      .option("--data", o.eval.data, "JSON lines", true)
      .option("--adapter", o.eval.adapter, "a PEFT folder")
      .option("--system-prompt", o.eval.system_prompt, "for records in the instruction format")
      .option("--max-tokens", o.eval.max_tokens, "longer records are cut")
      .option("--limit", o.eval.limit, "only the first records; 0: all")
      .option("--device", o.eval.device, "cpu or cuda:N")
      .option("--precision", o.eval.precision, "fp32, bf16 or auto")
      .option("--threads", o.eval.threads, "of one matrix product; 0: the library's choice")
      .flag("!--no-answers", o.eval.answers, "do not generate answers")
      .flag("--json", o.eval.json, "machine-readable")
      .on_run([&o] { return evaluate(o.eval); });
  root.subcommand("score", "log-likelihoods and top-k of JSON lines of token ids or text, from stdin")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", o.text.adapter, "a PEFT folder")
      .option("--device", o.text.device, "cpu or cuda:N")
      .option("--precision", o.text.precision, "fp32, bf16 or auto")
      .option("--top", o.text.top, "how many of the likeliest next tokens")
      .flag("--json", o.text.json, "machine-readable (always so)")
      .on_run([&o] { return score(o.text); });
  root.subcommand("tokenize", "text lines to token ids, from stdin; with --json {\"text\"} lines")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .flag("--decode", o.text.decode, "the other way: {\"ids\"} lines to text")
      .flag("--plain", o.text.plain, "spell out control tokens in the text, as in what users wrote, instead of taking their ids")
      .flag("--json", o.text.json, "machine-readable")
      .on_run([&o] { return tokenize(o.text); });
  root.subcommand("chat-template", "{\"messages\"} lines to text, ids and labels, from stdin")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .flag("--add-generation-prompt", o.text.add_generation_prompt, "end with the assistant's opening")
      .flag("--json", o.text.json, "machine-readable (always so)")
      .on_run([&o] { return chat_template(o.text); });
}

void add_adapter_commands(Command& root, Options& o) {
  root.subcommand("merge", "fold an adapter into its model: a complete Hugging Face folder")
      .option("--model", o.merge.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", o.merge.adapter, "a PEFT folder", true)
      .option("--out", o.merge.out, "the folder to write; it must not be there yet", true)
      .option("--type", o.merge.type, "F32 (keeps the adapter's logits), F16 or BF16")
      .option("--shard-mb", o.merge.shard_mb, "weights are split into files of at most so many megabytes")
      .flag("--json", o.merge.json, "machine-readable")
      .on_run([&o] { return merge(o.merge); });
  root.subcommand("export", "a model, with an adapter folded in, or an adapter alone, as a GGUF file")
      .option("--model", o.exported.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", o.exported.adapter, "a PEFT folder; without it the base model is exported")
      .option("--to", o.exported.to, "gguf (the merged model) or gguf-lora (the adapter, for llama.cpp's --lora)")
      .option("--out", o.exported.out, "the file to write", true)
      .option("--type", o.exported.type, "gguf: F32, F16 (default), BF16 or Q8_0; gguf-lora: F32 (default) or F16")
      .flag("--json", o.exported.json, "machine-readable")
      .on_run([&o] { return export_model(o.exported); });
}

void add_later_commands(Command& root) {
  root.later("data", "check, seal or split data");
  root.later("train", "one site alone: a baseline");
  root.later("compare", "two models side by side");
  root.later("generate", "continue a text");
  root.later("chat", "talk to a model");
  root.later("review", "blind expert comparison");
}

}  // namespace

int main(int argc, char** argv) {
  // Several sites may share the cores of one machine: threads that spin while they wait would starve the others. The OpenMP
  // runtime reads its environment before main, so the program starts itself once more with it.
  if (!std::getenv("OMP_WAIT_POLICY")) {
    ::setenv("OMP_WAIT_POLICY", "passive", 0);
    ::execv("/proc/self/exe", argv);
  }
  Options options;
  Cli cli("sotto-client", SOTTO_VERSION, "Sotto: a data-owning site of federated, private fine-tuning");
  add_site_commands(cli.root(), options);
  add_model_commands(cli.root(), options);
  add_adapter_commands(cli.root(), options);
  add_later_commands(cli.root());
  return cli.run(argc, argv);
}
