#include "client/federation/site_commands.h"

#include "base/program/stop_signal.h"
#include "client/federation/site.h"
#include "client/text/model_options.h"

namespace sotto::client {
namespace {

Result<void> run(const SiteOptions& o) {
  SOTTO_TRY(const auto folder, SiteFolder::open(o.folder));
  SOTTO_TRY(const auto config, read_site_config(folder.site().config));
  return run_site(folder, config, {o.exit_when_finished, stop_on_signals()});
}

Command& with_folder(Command& command, SiteOptions& o) { return command.option("--dir", o.folder, "the site's folder"); }

void add_enrolment_commands(Command& root, SiteOptions& o) {
  with_folder(root.subcommand("doctor", "check model, data and device; prints the model's fingerprint"), o)
      .option("--config", o.doctor_config, "a site.toml instead of a site's folder")
      .json(o.json)
      .example("--config site.toml")
      .on_run([&o] { return doctor(o.folder, o.doctor_config, o.json); });
  add_model_file(root.subcommand("fingerprint", "the SHA-256 by which a plan names a model"), o.model)
      .json(o.json)
      .example("--model model.gguf")
      .on_run([&o] { return show_fingerprint(o.model, o.json); });
  with_folder(
      root.subcommand("join", "enrol at a coordinator with the code that its operator sent; makes the site's folder"), o)
      .option("code", o.join.code, "the invite code", true)
      .option("--config", o.join.config, "the site's configuration (site.toml)", true)
      .option("--declared-size", o.join.declared_size, "number of patients, rounded to one or two digits", true)
      .flag("--yes", o.join.yes, "keep a declared size that is off by more than a quarter")
      .json(o.join.json)
      .example("CODE --config site.toml --declared-size 1400")
      .on_run([&o] {
        o.join.folder = o.folder;
        return join(o.join);
      });
  with_folder(root.subcommand("run", "stay connected and take part in the runs that were approved"), o)
      .flag("--exit-when-finished", o.exit_when_finished, "end after the first run that finishes")
      .example("--dir site")
      .on_run([&o] { return run(o); });
}

void add_decision_commands(Command& root, SiteOptions& o) {
  with_folder(root.subcommand("approve", "look at a run's plan and roster and approve them"), o)
      .option("run", o.decision.run, "the run's name", true)
      .option("--roster", o.decision.roster, "the roster's fingerprint, as told by another way; approves only that one")
      .flag("--yes", o.decision.yes, "approve without asking")
      .example("icd10-2026")
      .on_run([&o] {
        o.decision.folder = o.folder;
        return approve(o.decision);
      });
  with_folder(root.subcommand("refuse", "refuse a run"), o)
      .option("run", o.decision.run, "the run's name", true)
      .option("--reason", o.decision.reason, "a sentence for the coordinator's operator")
      .example("icd10-2026 --reason \"we train with other codes\"")
      .on_run([&o] {
        o.decision.folder = o.folder;
        return refuse(o.decision);
      });
}

void add_overview_commands(Command& root, SiteOptions& o) {
  with_folder(root.subcommand("status", "this site and its runs"), o).json(o.json).example("--dir site").on_run([&o] {
    return status(o.folder, o.json);
  });
  with_folder(root.subcommand("budget", "what was spent, is reserved, and is left of the privacy budget"), o)
      .option("--plan", o.budget.plan, "a RUN.toml: how many of its rounds are affordable")
      .option("--run", o.budget.run, "the same for a run that was offered")
      .json(o.budget.json)
      .example("--plan run.toml")
      .on_run([&o] {
        o.budget.folder = o.folder;
        return show_budget(o.budget);
      });
  root.subcommand("migrate", "take a book of patients, or a folder that spends from one, over from an earlier version")
      .option("folder", o.migrate.folder, "a book of patients, a site's folder, or a folder of 'train'", true)
      .option("--config", o.migrate.config, "site.toml: where a folder of 'train' has its book")
      .flag("--dry-run", o.migrate.dry_run, "say what would be done, and change nothing")
      .example("site --dry-run")
      .on_run([&o] { return migrate(o.migrate); });
}

}  // namespace

void add_site_commands(Command& root, SiteOptions& options) {
  root.group("In a consortium");
  add_enrolment_commands(root, options);
  add_decision_commands(root, options);
  add_overview_commands(root, options);
}

}  // namespace sotto::client
