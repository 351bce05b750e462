// sotto-audit: what a compliance team runs, offline, on any laptop. It reads files and trusts none; it has no key and signs
// nothing.
#include <cstdio>

#include "audit/program/epsilon_commands.h"
#include "audit/program/ledger_commands.h"
#include "audit/report/report.h"
#include "audit/verify/verify.h"
#include "audit/verify/views.h"
#include "base/number.h"
#include "base/program/cli.h"
#include "base/version.h"

namespace sotto::audit {
namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string number(const Json& json) { return json.dump(); }
std::string upper(const Json& json) { return shown_up(json.as_double()); }
std::string lower(const Json& json) { return shown_down(json.as_double()); }

struct Options {
  std::string path;
  std::vector<std::string> paths;  // of verify
  std::string expect;
  std::string delta;  // of compose: optional
  bool each = false;  // of compose
  bool json = false;
  EpsilonQuery epsilon;
  CalibrateQuery calibrate;
};

Result<void> finish_verify(const Verdict& verdict, const std::optional<RunId>& run, bool json) {
  print(json ? to_json(verdict, run).dump(2) + "\n" : to_text(verdict, run));
  const Check* failed = verdict.first_failed();
  if (failed) return refused("NOT VERIFIED: " + failed->name + ": " + failed->detail);
  return {};
}

// One run folder; or what several parties' own folders say of each other.
Result<void> run_verify(const Options& options) {
  if (options.paths.size() > 1) {
    if (!options.expect.empty()) return invalid("--expect goes with one run folder");
    SOTTO_TRY(const Verdict views, compare_views(options.paths));
    return finish_verify(views, std::nullopt, options.json);
  }
  SOTTO_TRY(const RunFolder folder, read_run_folder(options.paths.at(0)));
  std::optional<Expectation> expected;
  if (!options.expect.empty()) {
    SOTTO_TRY(expected, read_expectation(options.expect));
  }
  return finish_verify(verify(folder, expected), folder.run, options.json);
}

Result<void> run_report(const Options& options) {
  SOTTO_TRY(const RunFolder folder, read_run_folder(options.path));
  SOTTO_TRY_VOID(write_report(folder));
  const std::string json = folder.path + "/" + kReportJsonFile;
  const std::string html = folder.path + "/" + kReportHtmlFile;
  print(options.json ? Json::object({{"json", json}, {"html", html}}).dump() + "\n" : json + "\n" + html + "\n");
  return {};
}

void print_bound(const Json& answer, bool json) {
  if (json) {
    print(answer.dump() + "\n");
    return;
  }
  const std::string at = " at delta " + number(answer.at("delta"));
  const std::string worse = "worse direction: " + answer.at("direction").as_string();
  if (const Json* least = answer.find("epsilon_lower")) {
    print("epsilon between " + lower(*least) + " and " + upper(answer.at("epsilon_upper")) + at +
          " (certified; accountant pld; " + worse + ")\n");
  } else {
    print("epsilon " + upper(answer.at("epsilon_upper")) + at + " (an upper bound; accountant rdp; " + worse + ")\n");
  }
  if (const Json* advantage = answer.find("advantage")) print(advantage->at("text").as_string() + "\n");
}

Result<void> run_epsilon(const Options& options) {
  SOTTO_TRY(const Json found, answer(options.epsilon));
  print_bound(found, options.json);
  return {};
}

Result<void> run_calibrate(const Options& options) {
  SOTTO_TRY(const Json found, answer(options.calibrate));
  if (options.json) {
    print(found.dump() + "\n");
  } else {
    std::string text;
    for (const auto& [name, value] : found.members()) {
      if (name == "epsilon_lower" || name == "epsilon_upper") break;
      text += (text.empty() ? "" : ", ") + name + " " + (value.is_string() ? value.as_string() : number(value));
    }
    print(text + ": epsilon at most " + upper(found.at("epsilon_upper")) + " at delta " + number(found.at("delta")) +
          " (accountant " + found.at("accountant").as_string() + ")\n");
  }
  return {};
}

Result<void> run_compose(const Options& options) {
  std::optional<double> delta;
  if (!options.delta.empty()) {
    const auto parsed = Json::parse(options.delta, "--delta");
    if (!parsed.ok() || !parsed->is_number()) return invalid("--delta '" + options.delta + "' is not a number");
    delta = parsed->as_double();
  }
  SOTTO_TRY(const Json found, compose_file(options.path, delta, {options.each, options.json}));
  if (options.json) {
    print(found.dump() + "\n");
    return {};
  }
  if (const Json* each = found.find("each")) {
    for (const Json& after : each->items()) {
      print("after event " + number(after.at("event")) + ": epsilon between " + lower(after.at("epsilon_lower")) + " and " +
            upper(after.at("epsilon_upper")) + "\n");
    }
  }
  const auto shown = [&](const char* accountant) {
    const Json& by = found.at(accountant);
    if (by.find("refused")) return std::string(accountant) + " none (" + by.at("refused").as_string() + ")";
    return std::string(accountant) + " " + upper(by.at("epsilon_upper"));
  };
  print("epsilon " + upper(found.at("epsilon_upper")) + " at delta " + number(found.at("delta")) + " (an upper bound; " +
        shown("rdp") + ", " + shown("pld") + "; neighbours " + found.at("neighbours").as_string() +
        ", worse direction: " + found.at("direction").as_string() + ")\n");
  return {};
}

void add_folder_commands(Command& root, Options& o) {
  root.group("A run's record");
  root.subcommand("verify",
                  "check a run folder: chains, signatures, heads, every epsilon, the report; or compare parties' logs")
      .option("path", o.paths, "the run folder, with run.json in it; or two and more parties' own folders or logs", true)
      .option("--expect", o.expect, "file of fingerprints that you got from the parties by another way")
      .json(o.json)
      .example("record --expect fingerprints.txt")
      .on_run([&o] { return run_verify(o); });
  root.subcommand("report", "make report/report.json and report/report.html of a run folder from its logs")
      .option("path", o.path, "the run folder, with run.json in it", true)
      .json(o.json)
      .example("record")
      .on_run([&o] { return run_report(o); });
}

void add_ledger_commands(Command& root, LedgerQuery& q) {
  root.group("Event logs");
  Command& ledger = root.subcommand("ledger", "look into event logs, and prove things about them");
  ledger.example("show site/log");
  ledger.subcommand("show", "print the entries of a log")
      .option("path", q.path, "a log, a site's folder or a run folder", true)
      .option("--key", q.key, "opens sealed entries: file:PATH, env:NAME or credential:NAME")
      .json(q.json, "print one JSON object a line")
      .example("record")
      .on_run([&q] { return ledger_show(q); });
  ledger.subcommand("verify", "check every entry of a log of any length, and print its root")
      .option("path", q.path, "a log or a site's folder", true)
      .option("--head", q.head, "a signed head (heads/NAME.json) that must cover exactly this log")
      .json(q.json)
      .example("site --head record/heads/heart-lung.json")
      .on_run([&q] { return ledger_verify(q); });
  ledger.subcommand("prove", "prove that an entry is in a log, for somebody who has only a signed head")
      .option("path", q.path, "a log or a site's folder", true)
      .option("--entry", q.entry, "number of the entry", true)
      .option("--to", q.to, "entries of the log under the head; default: all")
      .json(q.json, "machine-readable (always so)")
      .example("site --entry 12 > proof.json")
      .on_run([&q] { return ledger_prove(q); });
  ledger.subcommand("consistency", "prove that an older state of a log is a prefix of a newer one")
      .option("path", q.path, "a log or a site's folder", true)
      .option("--from", q.from, "entries of the older state", true)
      .option("--to", q.to, "entries of the newer one; default: all")
      .json(q.json, "machine-readable (always so)")
      .example("site --from 12 > proof.json")
      .on_run([&q] { return ledger_consistency(q); });
  ledger.subcommand("check", "check a proof: of inclusion, of consistency, or that a party signed two histories")
      .option("path", q.path, "the proof's JSON file", true)
      .option("--head", q.head, "the signed head (heads/NAME.json) that it must be about")
      .json(q.json)
      .example("proof.json --head record/heads/heart-lung.json")
      .on_run([&q] { return ledger_check(q); });
}

void add_steps(Command& command, SampledSteps& s, bool required) {
  command.option("--noise-multiplier", s.noise_multiplier, "noise standard deviation over the sensitivity", required)
      .option("--sampling-rate", s.sampling_rate, "probability of each unit in each step")
      .option("--steps", s.steps, "number of steps; epochs of random_allocation", required)
      .option("--sampling", s.sampling, "poisson, truncated_poisson, fixed_size, random_allocation or none")
      .option("--population", s.population, "units; of truncated_poisson and fixed_size")
      .option("--batch-size", s.batch_size, "units in a step, at most; of truncated_poisson and fixed_size")
      .option("--epoch-steps", s.epoch_steps, "steps of an epoch; of random_allocation")
      .option("--epoch-selected", s.epoch_selected, "of them those that a unit is in; of random_allocation");
}

void add_accountant_commands(Command& root, Options& o) {
  root.group("The accountant");
  Command& epsilon = root.subcommand("epsilon", "epsilon of sampled Gaussian steps");
  add_steps(epsilon, o.epsilon, true);
  epsilon.option("--delta", o.epsilon.delta, "delta", true)
      .option("--accountant", o.epsilon.accountant,
              "pld (a certified bracket), rdp (an upper bound), or both (the smaller upper end)")
      .option("--neighbours", o.epsilon.neighbours, "add-remove, replace or zero-out")
      .option("--group", o.epsilon.group, "number of units that differ")
      .flag("--relations", o.epsilon.relations, "with --json: add, remove, replace, zero-out and group, all at once")
      .json(o.json, "print JSON: the bracket, the curve and what follows from it")
      .example("--noise-multiplier 1 --sampling-rate 0.01 --steps 10000 --delta 1e-5")
      .on_run([&o] { return run_epsilon(o); });
  Command& calibrate = root.subcommand(
      "calibrate", "the noise multiplier, steps or sampling rate, whichever is left out, that stay within epsilon");
  add_steps(calibrate, o.calibrate, false);
  calibrate.option("--epsilon", o.calibrate.epsilon, "epsilon", true)
      .option("--delta", o.calibrate.delta, "delta", true)
      .option("--accountant", o.calibrate.accountant, "pld, rdp or both")
      .option("--neighbours", o.calibrate.neighbours, "add-remove, replace or zero-out")
      .json(o.json)
      .example("--epsilon 3 --delta 1e-5 --sampling-rate 0.01 --steps 10000")
      .on_run([&o] { return run_calibrate(o); });
  root.subcommand("compose", "epsilon of a list of events (docs/accountant.md)")
      .option("events", o.path, "JSON file", true)
      .option("--delta", o.delta, "goes before the file's delta; without either 1e-5")
      .flag("--each", o.each, "also the epsilon after each event")
      .json(o.json)
      .example("events.json --delta 1e-5")
      .on_run([&o] { return run_compose(o); });
}

}  // namespace
}  // namespace sotto::audit

int main(int argc, char** argv) {
  sotto::Cli cli("sotto-audit", std::string(sotto::version()) + " (" + std::string(sotto::commit()) + ")",
                 "Check a run's report and logs, trusting neither side; recompute every epsilon.");
  sotto::audit::Options options;
  sotto::audit::LedgerQuery ledger;
  sotto::audit::add_folder_commands(cli.root(), options);
  sotto::audit::add_ledger_commands(cli.root(), ledger);
  sotto::audit::add_accountant_commands(cli.root(), options);
  return cli.run(argc, argv);
}
