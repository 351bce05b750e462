// sotto-coordinator: the program of the operator of a consortium.
#include "base/program/cli.h"
#include "base/version.h"
#include "coordinator/commands.h"
#include "coordinator/doctor.h"
#include "coordinator/models.h"

namespace {

using namespace sotto;
using namespace sotto::coordinator;

struct Options {
  std::string folder = "coordinator";
  InitRequest init;
  PlanRequest plan;
  ModelCommand model;
  std::string site;
  std::string fingerprint;
  std::string run;
  std::string out;
  bool json = false;
};

Command& with_folder(Command& command, Options& o) { return command.option("--dir", o.folder, "the coordinator's folder"); }

void add_site_commands(Command& root, Options& o) {
  root.group("The coordinator");
  with_folder(root.subcommand("init", "make a coordinator's folder and keys"), o)
      .option("--config", o.init.config, "coordinator.toml")
      .option("--listen", o.init.listen, "tcp://ADDRESS:PORT to listen on; port 0 takes a free one")
      .option("--reachable", o.init.reachable, "tcp://HOST:PORT as sites reach it, when that differs")
      .example("--listen tcp://0.0.0.0:7431 --reachable tcp://coordinator.example.org:7431")
      .on_run([&o] {
        o.init.folder = o.folder;
        return init(o.init);
      });
  with_folder(root.subcommand("doctor", "check this machine and folder"), o)
      .json(o.json)
      .example("--dir coordinator")
      .on_run([&o] { return doctor(o.folder, o.json); });
  with_folder(root.subcommand("serve", "listen for sites and carry out runs"), o).example("--dir coordinator").on_run([&o] {
    return serve(o.folder);
  });
  root.group("Sites");
  with_folder(root.subcommand("invite", "make a code with which one site can enrol"), o)
      .option("site", o.site, "the site's name", true)
      .json(o.json)
      .example("heart-lung")
      .on_run([&o] { return invite(o.folder, o.site, o.json); });
  with_folder(root.subcommand("sites", "all sites and their fingerprints"), o).json(o.json).example("--json").on_run([&o] {
    return list_sites(o.folder, o.json);
  });
  with_folder(root.subcommand("approve", "let a site take part, after comparing fingerprints"), o)
      .option("site", o.site, "the site's name", true)
      .option("--fingerprint", o.fingerprint, "as the site's engineer told it; approves only that one")
      .example("heart-lung --fingerprint 3f2a-...-91bc")
      .on_run([&o] { return approve(o.folder, o.site, o.fingerprint); });
  with_folder(root.subcommand("revoke", "let a site in no more"), o)
      .option("site", o.site, "the site's name", true)
      .example("heart-lung")
      .on_run([&o] { return revoke(o.folder, o.site); });
}

void add_run_commands(Command& root, Options& o) {
  root.group("Runs");
  const auto with_plan = [&o](Command& command) -> Command& {
    return with_folder(command, o)
        .option("file", o.plan.file, "the run's description (run.toml)", true)
        .flag("--allow-two-sites", o.plan.allow_two_sites, "accept that a site may see another's noisy update")
        .json(o.plan.json);
  };
  with_plan(root.subcommand("plan", "what a run would cost and promise; starts nothing")).example("run.toml").on_run([&o] {
    o.plan.folder = o.folder;
    return plan(o.plan);
  });
  with_plan(root.subcommand("submit", "offer a run to its sites")).example("run.toml").on_run([&o] {
    o.plan.folder = o.folder;
    return submit(o.plan);
  });
  with_folder(root.subcommand("runs", "all runs"), o).json(o.json).example("--json").on_run([&o] {
    return list_runs(o.folder, o.json);
  });
  with_folder(root.subcommand("watch", "follow a run until it is over"), o)
      .option("run", o.run, "the run's name", true)
      .json(o.json, "machine-readable, a line a change")
      .example("icd10-2026")
      .on_run([&o] { return watch(o.folder, o.run, o.json); });
  with_folder(root.subcommand("stop", "end a run now; what its sites spent stays spent"), o)
      .option("run", o.run, "the run's name", true)
      .example("icd10-2026")
      .on_run([&o] { return stop(o.folder, o.run); });
  with_folder(root.subcommand("report", "collect a finished run's record and make its report"), o)
      .option("run", o.run, "the run's name", true)
      .option("--out", o.out, "the folder to write, for 'sotto-audit verify'", true)
      .example("icd10-2026 --out record")
      .on_run([&o] { return report(o.folder, o.run, o.out); });
  root.later("resume", "go on with a run that was stopped");
}

}  // namespace

int main(int argc, char** argv) {
  Cli cli("sotto-coordinator", std::string(sotto::version()) + " (" + std::string(sotto::commit()) + ")",
          "Runs federated, differentially private tuning over sites whose updates it cannot read.");
  Options options;
  add_site_commands(cli.root(), options);
  add_run_commands(cli.root(), options);
  add_model_commands(cli.root(), options.model);
  return cli.run(argc, argv);
}
