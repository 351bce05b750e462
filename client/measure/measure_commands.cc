#include "client/measure/measure_commands.h"

#include "base/program/stop_signal.h"

namespace sotto::client {
namespace {

// eval takes a task, or records as they are trained on; both forms share model, adapter and device.
Result<void> run_eval(MeasureOptions& o) {
  if (o.task.task.empty() == o.eval.data.empty())
    return invalid("eval needs either --task TASK.toml or --data RECORDS.jsonl");
  if (!o.task.task.empty()) return evaluate_task(o.task);
  if (o.task.adapters.size() > 1) return invalid("eval takes one --adapter; compare takes several");
  if (!o.task.samples.empty()) return invalid("--samples belongs to --task");
  if (o.task.federated)
    return unsupported(
        "--federated is for a task whose items are outside the guarantee (eval --task); the loss on records, summed over "
        "sites, is not in this version");
  static_cast<ModelOptions&>(o.eval) = o.task;
  o.eval.adapter = o.task.adapters.empty() ? "" : o.task.adapters.front();
  o.eval.limit = o.task.limit;
  o.eval.json = o.task.json;
  return evaluate(o.eval);
}

// compare puts models beside each other here, or the figures that several sites have told of theirs.
Result<void> run_compare(MeasureOptions& o) {
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

Command& add_task_options(Command& command, TaskCommand& task, ModelOptions::Model model) {
  return task.add_to(command, model)
      .option("--task", task.task, "a task (TASK.toml, see docs/evaluation.md)")
      .option("--limit", task.limit, "only the first records; 0: all")
      .option("--samples", task.samples, "a file for the single answers, JSON lines")
      .flag("--federated", task.federated,
            "write signed sums for 'compare --sites'; of a task whose items are outside the guarantee")
      .option("--dir", task.folder, "with --federated: the site's folder")
      .option("--out", task.out, "with --federated: the file of the sums")
      .json(task.json);
}

void add_quality_commands(Command& root, MeasureOptions& o) {
  add_task_options(root.subcommand("eval", "a model's quality on a task, or its loss and code accuracy on held-out records"),
                   o.task, ModelOptions::Model::kRequired)
      .option("--adapter", o.task.adapters, "a PEFT folder")
      .option("--data", o.eval.data, "held-out records, JSON lines")
      .option("--system-prompt", o.eval.system_prompt, "with --data: for records in the instruction format")
      .option("--chat-template", o.eval.chat_template, "with --data: a well-known one by name, instead of the model's own")
      .option("--data-key", o.eval.data_key, "with --data: the key's file, for sealed data")
      .option("--max-tokens", o.eval.max_tokens, "with --data: longer records are cut")
      .flag("!--no-answers", o.eval.answers, "with --data: do not generate answers")
      .example("--model model.gguf --adapter site/runs/icd10-2026/adapter --task task.toml")
      .on_run([&o] { return run_eval(o); });
  add_task_options(
      root.subcommand("compare",
                      "a base model against one or more adapters on a task, with paired tests; at one site or over several"),
      o.task, ModelOptions::Model::kOptional)
      .option("--adapter", o.task.adapters, "a PEFT folder; give it again for another")
      .option("--local", o.task.local, "with --federated: the adapter that this site trained alone")
      .option("--sites", o.pool.sites, "the files of several sites' 'compare --federated': their figures as one, and each")
      .option("--roster", o.pool.roster, "with --sites: the roster of a run's record, to check whose keys have signed")
      .option("--review", o.task.review, "a new folder for 'review serve': the last two of the models, blind")
      .example("--model model.gguf --adapter site/runs/icd10-2026/adapter --task task.toml")
      .on_run([&o] { return run_compare(o); });
}

void add_review_commands(Command& root, ReviewCommand& c) {
  Command& review = root.subcommand("review", "blind expert comparison of two models' answers");
  review.example("serve review-folder");
  review.subcommand("serve", "a page on which raters compare answers; prints each rater's link")
      .option("folder", c.folder, "the review's folder (compare --review makes one)", true)
      .option("--host", c.host, "the address to listen on")
      .option("--port", c.port, "the port; 0: any")
      .json(c.json)
      .example("review-folder --port 8765")
      .on_run([&c] { return serve_review(c, stop_on_signals()); });
  review.subcommand("report", "win rate, scores, agreement and disagreements")
      .option("folder", c.folder, "the review's folder", true)
      .json(c.json)
      .example("review-folder")
      .on_run([&c] { return report_review(c); });
}

// What is a function of the site's own patients, and stays at the site.
void add_private_commands(Command& root, MeasureOptions& o) {
  root.subcommand("attack", "membership inference on this site's own patients, against the adapter of a run; stays here")
      .option("run", o.attack.run, "the run's name", true)
      .option("--dir", o.attack.folder, "the site's folder")
      .option("--limit", o.attack.limit, "patients of each kind")
      .json(o.attack.json)
      .example("icd10-2026")
      .on_run([&o] { return attack(o.attack); });
  root.subcommand("benefit",
                  "what this site gained: trained alone against trained together, on its own held-out patients; stays here")
      .option("--config", o.benefit.config, "the site's configuration (site.toml)", true)
      .option("--local", o.benefit.local, "the adapter of 'train', one site alone", true)
      .option("--federated", o.benefit.federated, "the adapter of a run", true)
      .option("--max-tokens", o.benefit.max_tokens, "longer records are cut")
      .option("--system-prompt", o.benefit.system_prompt, "for records in the instruction format")
      .option("--chat-template", o.benefit.chat_template, "a well-known one by name, instead of the model's own")
      .json(o.benefit.json)
      .example("--config site.toml --local train-alone/adapter --federated site/runs/icd10-2026/adapter")
      .on_run([&o] { return benefit(o.benefit); });
}

}  // namespace

void add_measure_commands(Command& root, MeasureOptions& options) {
  root.group("Quality");
  add_quality_commands(root, options);
  add_review_commands(root, options.review);
  add_private_commands(root, options);
}

}  // namespace sotto::client
