// sotto-client: the program of the engineer at a data-owning site.
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/cli.h"
#include "base/log.h"
#include "base/version.h"
#include "client/data_commands.h"
#include "client/federation/budget.h"
#include "client/federation/enrol.h"
#include "client/federation/migrate.h"
#include "client/federation/operator_commands.h"
#include "client/federation/site.h"
#include "client/measure/attack.h"
#include "client/measure/benefit.h"
#include "client/measure/evaluate.h"
#include "client/measure/evaluate_task.h"
#include "client/measure/review.h"
#include "client/measure/site_evaluation.h"
#include "client/registry/adapter_commands.h"
#include "client/registry/model_commands.h"
#include "client/search/search_command.h"
#include "client/serving/conversation.h"
#include "client/serving/monitor.h"
#include "client/serving/serve.h"
#include "client/serving/text_commands.h"
#include "client/training/train_command.h"

namespace {

using namespace sotto;
using namespace sotto::client;

volatile std::sig_atomic_t stop_asked = 0;
void ask_to_stop(int) { stop_asked = 1; }

constexpr const char* kQuantizedBase =
    "keep a GGUF file's matrices packed in memory: less memory, more time, the same results";

struct Options {
  std::string folder = "site";
  JoinRequest join;
  DecisionRequest decision;
  TextCommand text;
  WriteCommand write;
  EvalCommand eval;
  MergeCommand merge;
  ExportCommand exported;
  BudgetQuery budget;
  MigrateRequest migrate;
  AttackCommand attack;
  BenefitCommand benefit;
  TaskCommand task;
  PoolCommand pool;
  ReviewCommand review;
  DataCommand data;
  TrainRequest train;
  ReplayRequest replay;
  TuneRequest tune;
  ModelCommand model;
  MonitorCommand monitor;
  ServeCommand serve;
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

Result<void> train_alone(const Options& o) {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return train(o.train, [] { return stop_asked != 0; });
}

Result<void> replay_alone(const Options& o) {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return replay(o.replay, [] { return stop_asked != 0; });
}

void add_site_commands(Command& root, Options& o) {
  root.subcommand("join", "enrol at a coordinator with the code that its operator sent")
      .option("code", o.join.code, "the invite code", true)
      .option("--dir", o.folder, "the site's folder, made here")
      .option("--config", o.join.config, "the site's configuration (site.toml)", true)
      .option("--declared-size", o.join.declared_size, "number of patients, rounded to one or two digits", true)
      .on_run([&o] {
        o.join.folder = o.folder;
        return join(o.join);
      });
  root.subcommand("run", "stay connected and take part in the runs that were approved")
      .option("--dir", o.folder, "the site's folder")
      .flag("--exit-when-finished", o.exit_when_finished, "end after the first run that finishes")
      .on_run([&o] { return run(o); });
  root.subcommand("approve", "look at a run's plan and roster and approve them")
      .option("run", o.decision.run, "the run's name", true)
      .option("--dir", o.folder, "the site's folder")
      .option("--roster", o.decision.roster, "the roster's fingerprint, as told by another way; approves only that one")
      .flag("--yes", o.decision.yes, "approve without asking")
      .on_run([&o] {
        o.decision.folder = o.folder;
        return approve(o.decision);
      });
  root.subcommand("refuse", "refuse a run")
      .option("run", o.decision.run, "the run's name", true)
      .option("--dir", o.folder, "the site's folder")
      .option("--reason", o.decision.reason, "a sentence for the coordinator's operator")
      .on_run([&o] {
        o.decision.folder = o.folder;
        return refuse(o.decision);
      });
  root.subcommand("status", "this site and its runs")
      .option("--dir", o.folder, "the site's folder")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return status(o.folder, o.json); });
  root.subcommand("budget", "what was spent, is reserved, and is left of the privacy budget")
      .option("--dir", o.folder, "the site's folder")
      .option("--plan", o.budget.plan, "a RUN.toml: how many of its rounds are affordable")
      .option("--run", o.budget.run, "the same for a run that was offered")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] {
        o.budget.folder = o.folder;
        o.budget.json = o.json;
        return show_budget(o.budget);
      });
  root.subcommand("migrate", "take a book of patients, or a folder that spends from one, over from an earlier version")
      .option("folder", o.migrate.folder, "a book of patients, a site's folder, or a folder of 'train'", true)
      .option("--config", o.migrate.config, "site.toml: where a folder of 'train' has its book")
      .flag("--dry-run", o.migrate.dry_run, "say what would be done, and change nothing")
      .on_run([&o] { return migrate(o.migrate); });
  root.subcommand("attack", "membership inference on this site's own patients, against the adapter of a run; stays here")
      .option("run", o.attack.run, "the run's name", true)
      .option("--dir", o.folder, "the site's folder")
      .option("--limit", o.attack.limit, "patients of each kind")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] {
        o.attack.folder = o.folder;
        o.attack.json = o.json;
        return attack(o.attack);
      });
  root.subcommand("benefit",
                  "what this site gained: trained alone against trained together, on its own held-out patients; stays here")
      .option("--config", o.benefit.config, "the site's configuration (site.toml)", true)
      .option("--local", o.benefit.local, "the adapter of 'train', one site alone", true)
      .option("--federated", o.benefit.federated, "the adapter of a run", true)
      .option("--max-tokens", o.benefit.max_tokens, "longer records are cut")
      .option("--system-prompt", o.benefit.system_prompt, "for records in the instruction format")
      .option("--chat-template", o.benefit.chat_template, "a well-known one by name, instead of the model's own")
      .flag("--json", o.benefit.json, "machine-readable")
      .on_run([&o] { return benefit(o.benefit); });
  root.subcommand("doctor", "check model, data and device; prints the model's fingerprint")
      .option("--dir", o.folder, "the site's folder")
      .option("--config", o.doctor_config, "a site.toml instead of a site's folder")
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return doctor(o.folder, o.doctor_config, o.json); });
}

// eval takes a task, or records as they are trained on; both forms share model, adapter and device.
Result<void> run_eval(Options& o) {
  if (o.task.task.empty() == o.eval.data.empty())
    return invalid("eval needs either --task TASK.toml or --data RECORDS.jsonl");
  if (!o.task.task.empty()) return evaluate_task(o.task);
  if (o.task.adapters.size() > 1) return invalid("eval takes one --adapter; compare takes several");
  if (!o.task.samples.empty()) return invalid("--samples belongs to --task");
  if (o.task.federated)
    return unsupported(
        "--federated is for a task whose items are outside the guarantee (eval --task); the loss on records, summed over "
        "sites, is not in this version");
  o.eval.model = o.task.model;
  o.eval.adapter = o.task.adapters.empty() ? "" : o.task.adapters.front();
  o.eval.device = o.task.device;
  o.eval.precision = o.task.precision;
  o.eval.quantized_base = o.task.quantized_base;
  o.eval.limit = o.task.limit;
  o.eval.threads = o.task.threads;
  o.eval.json = o.task.json;
  return evaluate(o.eval);
}

// compare puts models beside each other here, or the figures that several sites have told of theirs.
Result<void> run_compare(Options& o) {
  if (o.pool.sites.empty()) {
    if (o.task.task.empty() || o.task.model.empty())
      return invalid("compare needs --task, --model and --adapter, or --sites with the files of 'compare --federated'");
    if (!o.pool.roster.empty()) return invalid("--roster belongs to --sites");
    return compare_models(o.task);
  }
  if (!o.task.task.empty() || !o.task.model.empty() || !o.task.adapters.empty())
    return invalid("--sites adds up what sites have told; it takes no task, model or adapter");
  o.pool.json = o.task.json;
  return pool_sites(o.pool);
}

Command& add_task_options(Command& command, TaskCommand& task, bool model_is_required) {
  return command.option("--model", task.model, "a .gguf file or a Hugging Face folder", model_is_required)
      .option("--device", task.device, "cpu or cuda:N")
      .option("--precision", task.precision, "fp32, bf16 or auto")
      .flag("--quantized-base", task.quantized_base, kQuantizedBase)
      .option("--limit", task.limit, "only the first records; 0: all")
      .option("--threads", task.threads, "of one matrix product; 0: the library's choice")
      .option("--samples", task.samples, "a file for the single answers, JSON lines")
      .flag("--federated", task.federated,
            "write signed sums for 'compare --sites'; of a task whose items are outside the guarantee")
      .option("--dir", task.folder, "with --federated: the site's folder")
      .option("--out", task.out, "with --federated: the file of the sums")
      .flag("--json", task.json, "machine-readable");
}

void add_evaluation_commands(Command& root, Options& o) {
  add_task_options(root.subcommand("eval", "a model's quality on a task, or its loss and code accuracy on held-out records"),
                   o.task, true)
      .option("--task", o.task.task, "a task (TASK.toml, see docs/evaluation.md)")
      .option("--adapter", o.task.adapters, "a PEFT folder")
      .option("--data", o.eval.data, "held-out records, JSON lines")
      .option("--system-prompt", o.eval.system_prompt, "with --data: for records in the instruction format")
      .option("--chat-template", o.eval.chat_template, "with --data: a well-known one by name, instead of the model's own")
      .option("--data-key", o.eval.data_key, "with --data: the key's file, for sealed data")
      .option("--max-tokens", o.eval.max_tokens, "with --data: longer records are cut")
      .flag("!--no-answers", o.eval.answers, "with --data: do not generate answers")
      .on_run([&o] { return run_eval(o); });
  add_task_options(
      root.subcommand("compare",
                      "a base model against one or more adapters on a task, with paired tests; at one site or over several"),
      o.task, false)
      .option("--task", o.task.task, "a task (TASK.toml, see docs/evaluation.md)")
      .option("--adapter", o.task.adapters, "a PEFT folder; give it again for another")
      .option("--local", o.task.local, "with --federated: the adapter that this site trained alone")
      .option("--sites", o.pool.sites, "the files of several sites' 'compare --federated': their figures as one, and each")
      .option("--roster", o.pool.roster, "with --sites: the roster of a run's record, to check whose keys have signed")
      .option("--review", o.task.review, "a new folder for 'review serve': the last two of the models, blind")
      .on_run([&o] { return run_compare(o); });
}

Result<void> run_review(const ReviewCommand& command) {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return serve_review(command, [] { return stop_asked != 0; });
}

void add_review_commands(Command& root, Options& o) {
  Command& review = root.subcommand("review", "blind expert comparison of two models' answers");
  review.subcommand("serve", "a page on which raters compare answers; prints each rater's link")
      .option("folder", o.review.folder, "the review's folder (compare --review makes one)", true)
      .option("--host", o.review.host, "the address to listen on")
      .option("--port", o.review.port, "the port; 0: any")
      .flag("--json", o.review.json, "machine-readable")
      .on_run([&o] { return run_review(o.review); });
  review.subcommand("report", "win rate, scores, agreement and disagreements")
      .option("folder", o.review.folder, "the review's folder", true)
      .flag("--json", o.review.json, "machine-readable")
      .on_run([&o] { return report_review(o.review); });
}

Result<void> run_serve(const ServeCommand& command) {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return serve_model(command, [] { return stop_asked != 0; });
}

void add_serve_command(Command& root, ServeCommand& s) {
  root.subcommand("serve", "answer this machine's programs over OpenAI's HTTP interface, and log what was asked")
      .option("--model", s.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", s.adapter, "a PEFT folder")
      .option("--log", s.log, "queries and answers, JSON lines, for 'monitor' and 'feedback'; appended to", true)
      .option("--key", s.key, "a file with the key that requests must bring")
      .option("--host", s.host, "the address to listen on; others than loopback need --key")
      .option("--port", s.port, "the port; 0: any")
      .option("--chat-template", s.chat_template, "a well-known one by name, instead of the model's own")
      .option("--max-tokens", s.max_tokens, "of an answer, at most")
      .option("--device", s.device, "cpu or cuda:N")
      .option("--precision", s.precision, "fp32, bf16 or auto")
      .flag("--quantized-base", s.quantized_base, kQuantizedBase)
      .option("--threads", s.threads, "of one matrix product; 0: the library's choice")
      .flag("--json", s.json, "machine-readable")
      .on_run([&s] { return run_serve(s); });
}

void add_model_commands(Command& root, Options& o) {
  root.subcommand("fingerprint", "the SHA-256 by which a plan names a model")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .flag("--json", o.json, "machine-readable")
      .on_run([&o] { return show_fingerprint(o.text.model, o.json); });
  root.subcommand("train",
                  "one site alone, privately or not: the baseline; the same command goes on where a killed one stood")
      .option("plan", o.train.plan, "the run's description (RUN.toml)", true)
      .option("--config", o.train.config, "the site's configuration (site.toml); default: [train] config of the plan")
      .option("--declared-size", o.train.declared_size, "number of units, rounded; default: [train] declared_size")
      .option("--out", o.train.out, "folder of the results; default: [train] out, else train-RUN")
      .flag("--no-privacy", o.train.no_privacy, "no clipping, no noise, no guarantee")
      .flag("--json", o.train.json, "print summary.json")
      .on_run([&o] { return train_alone(o); });
  root.subcommand("replay", "train a model again from its passport's plan, without noise, and compare")
      .option("adapter", o.replay.adapter, "a PEFT folder", true)
      .option("--plan", o.replay.plan, "the run's description (RUN.toml)", true)
      .option("--config", o.replay.config, "the site's configuration (site.toml); default: [train] config of the plan")
      .flag("--json", o.replay.json, "machine-readable")
      .on_run([&o] { return replay_alone(o); });
  root.subcommand("tune", "search for a plan's settings, each trial charged to the budget or on public text")
      .option("file", o.tune.plan, "what to search over (TUNE.toml)", true)
      .flag("--json", o.tune.json, "machine-readable")
      .on_run([&o] {
        std::signal(SIGINT, ask_to_stop);
        return tune(o.tune, [] { return stop_asked != 0; });
      });
  root.subcommand("score", "log-likelihoods and top-k of JSON lines of token ids or text, from stdin")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", o.text.adapters, "a PEFT folder")
      .option("--device", o.text.device, "cpu or cuda:N")
      .option("--precision", o.text.precision, "fp32, bf16 or auto")
      .flag("--quantized-base", o.text.quantized_base, kQuantizedBase)
      .option("--top", o.text.top, "how many of the likeliest next tokens")
      .flag("--json", o.text.json, "machine-readable (always so)")
      .on_run([&o] { return score(o.text); });
  root.subcommand("tokenize", "text lines to token ids, from stdin; with --json {\"text\"} lines")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .flag("--decode", o.text.decode, "the other way: {\"ids\"} lines to text")
      .flag("--plain", o.text.plain,
            "spell out control tokens in the text, as in what users wrote, instead of taking their ids")
      .flag("--bare", o.text.bare, "without the BOS and EOS that the model puts around a text")
      .flag("--json", o.text.json, "machine-readable")
      .on_run([&o] { return tokenize(o.text); });
  root.subcommand("chat-template", "{\"messages\"} lines to text, ids and labels, from stdin")
      .option("--model", o.text.model, "a .gguf file or a Hugging Face folder", true)
      .option("--chat-template", o.text.chat_template,
              "instead of the model's own: chatml, qwen, llama2, llama3, mistral, gemma or zephyr")
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

void add_data_commands(Command& root, Options& o) {
  Command& data = root.subcommand("data", "check, select, minimise, split or seal a site's records");
  const auto common = [&o](Command& command) -> Command& {
    return command.option("files", o.data.files, "JSON lines, plain, .gz or .zst", true)
        .option("--config", o.data.config, "what to look for and what to tolerate: a check.toml")
        .option("--validation", o.data.validation, "a validation set that must not leak into training")
        .option("--model", o.data.model, "its tokenizer and chat template count tokens")
        .option("--chat-template", o.data.chat_template, "a well-known one by name, instead of the model's own")
        .option("--system-prompt", o.data.system_prompt, "for records in the instruction format")
        .option("--data-key", o.data.data_key, "the key's file, for sealed files")
        .flag("--json", o.data.json, "machine-readable");
  };
  common(data.subcommand("check", "what is wrong, what repeats, what leaks, what is missing"))
      .option("--production", o.data.production, "a sample of production queries to compare with")
      .option("--html", o.data.html, "write the report as a page, too")
      .on_run([&o] { return data_check(o.data); });
  common(data.subcommand("select", "the records worth training on, and why the others are not"))
      .option("--out", o.data.out, "where the kept lines go", true)
      .option("--reasons", o.data.reasons, "where the reasons for the others go", true)
      .option("--min-score", o.data.min_score, "records below are left out")
      .flag("--keep-repeats", o.data.keep_repeats, "keep records that repeat another of the same patient")
      .on_run([&o] { return data_select(o.data); });
  data.subcommand("minimise", "replace what names a person by surrogates, the same within a patient")
      .option("files", o.data.files, "JSON lines, plain, .gz or .zst", true)
      .option("--config", o.data.config, "which kinds, more names, what to keep: a pii.toml")
      .option("--key", o.data.key, "the key's file; made when it is not there. The same key gives the same surrogates", true)
      .option("--out", o.data.out, "where the records go")
      .option("--data-key", o.data.data_key, "the key's file, for sealed files")
      .flag("--preview", o.data.preview, "show the changes as a diff and write nothing")
      .flag("--json", o.data.json, "machine-readable")
      .on_run([&o] { return data_minimise(o.data); });
  data.subcommand("split", "training and validation, by patient")
      .option("files", o.data.files, "JSON lines, plain, .gz or .zst", true)
      .option("--fraction", o.data.fraction, "of the patients, for validation")
      .option("--key", o.data.key, "the key's file; made when it is not there. The same key splits alike for ever", true)
      .option("--out", o.data.out, "a folder for train.jsonl and val.jsonl", true)
      .option("--data-key", o.data.data_key, "the key's file, for sealed files")
      .flag("--json", o.data.json, "machine-readable")
      .on_run([&o] { return data_split(o.data); });
  data.subcommand("seal", "encrypt a file of records (AES-256-GCM); runs and commands read it without a plain copy")
      .option("files", o.data.files, "JSON lines, plain, .gz or .zst", true)
      .option("--data-key", o.data.data_key, "the key's file; made when it is not there", true)
      .option("--out", o.data.out, "where the sealed file goes", true)
      .flag("--json", o.data.json, "machine-readable")
      .on_run([&o] { return data_seal(o.data); });
}

Command& with_write_options(Command& command, WriteCommand& write) {
  return command.option("--model", write.model, "a .gguf file or a Hugging Face folder", true)
      .option("--adapter", write.adapters,
              "a PEFT folder; several swap on the loaded model: {\"adapter\": name} in a line, /adapter NAME in a chat")
      .option("--max-tokens", write.max_tokens, "the longest continuation")
      .option("--temperature", write.temperature, "0: the likeliest token always")
      .option("--top-k", write.top_k, "only the k likeliest tokens; 0: all")
      .option("--top-p", write.top_p, "only the likeliest tokens that together have this probability")
      .option("--min-p", write.min_p, "only tokens with this part of the likeliest one's probability")
      .option("--repetition-penalty", write.repetition_penalty, "above 1: tokens that occurred become less likely")
      .option("--seed", write.seed, "the same seed draws the same text")
      .option("--chat-template", write.chat_template, "the name of a well-known one, instead of the model's own")
      .option("--stop", write.stop, "a text that ends an answer; may be given more than once")
      .option("--device", write.device, "cpu or cuda:N")
      .option("--precision", write.precision, "fp32, bf16 or auto")
      .flag("--quantized-base", write.quantized_base, kQuantizedBase)
      .option("--threads", write.threads, "of one matrix product; 0: the library's choice")
      .flag("--json", write.json, "JSON lines in and out");
}

void add_write_commands(Command& root, Options& o) {
  with_write_options(root.subcommand("generate", "continue texts, from stdin or --prompt"), o.write)
      .option("--prompt", o.write.prompt, "one text, instead of stdin")
      .option("--batch", o.write.batch, "lines that are answered together")
      .on_run([&o] { return generate(o.write); });
  with_write_options(root.subcommand("chat", "talk to a model; /reset begins anew"), o.write)
      .option("--system", o.write.system, "the system message, in place of the template's own")
      .flag("--compare", o.write.compare, "the model with and without --adapter, side by side")
      .on_run([&o] { return chat(o.write); });
}

}  // namespace

int main(int argc, char** argv) {
  // Several sites may share the cores of one machine: threads that spin for long while they wait would starve the others;
  // those that sleep at once take longer to wake than a short product takes. The OpenMP runtime reads its environment before
  // main, so the program starts itself once more with it.
  if (!std::getenv("GOMP_SPINCOUNT")) {
    ::setenv("GOMP_SPINCOUNT", "10000", 0);
    ::setenv("OMP_WAIT_POLICY", "passive", 0);
    ::execv("/proc/self/exe", argv);
  }
  Options options;
  Cli cli("sotto-client", std::string(sotto::version()) + " (" + std::string(sotto::commit()) + ")",
          "Sotto: a data-owning site of federated, private fine-tuning");
  add_site_commands(cli.root(), options);
  add_evaluation_commands(cli.root(), options);
  add_review_commands(cli.root(), options);
  add_model_commands(cli.root(), options);
  add_adapter_commands(cli.root(), options);
  add_data_commands(cli.root(), options);
  add_model_registry_commands(cli.root(), options.model);
  add_monitor_commands(cli.root(), options.monitor);
  add_serve_command(cli.root(), options.serve);
  add_write_commands(cli.root(), options);
  return cli.run(argc, argv);
}
