// sotto-audit: what a compliance team runs, offline, on any laptop. It reads files and trusts none; it has no key and signs
// nothing.
#include <cstdio>
#include <filesystem>

#include "audit/epsilon_commands.h"
#include "audit/report.h"
#include "audit/verify.h"
#include "base/cli.h"

namespace sotto::audit {
namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

std::string number(const Json& json) { return json.dump(); }

struct Options {
  std::string path;
  std::string expect;
  std::string delta;  // of compose: optional
  bool json = false;
  EpsilonQuery epsilon;
  CalibrateQuery calibrate;
};

Result<void> run_verify(const Options& options) {
  SOTTO_TRY(const RunFolder folder, read_run_folder(options.path));
  std::optional<Expectation> expected;
  if (!options.expect.empty()) {
    SOTTO_TRY(expected, read_expectation(options.expect));
  }
  const Verdict verdict = verify(folder, expected);
  print(options.json ? to_json(verdict, folder.run).dump(2) + "\n" : to_text(verdict, folder.run));
  const Check* failed = verdict.first_failed();
  if (failed) return refused("NOT VERIFIED: " + failed->name + ": " + failed->detail);
  return {};
}

Result<void> run_report(const Options& options) {
  SOTTO_TRY(const RunFolder folder, read_run_folder(options.path));
  SOTTO_TRY_VOID(write_report(folder));
  const std::string json = folder.path + "/" + kReportJsonFile;
  const std::string html = folder.path + "/" + kReportHtmlFile;
  print(options.json ? Json::object({{"json", json}, {"html", html}}).dump() + "\n" : json + "\n" + html + "\n");
  return {};
}

Result<void> show_log(const std::string& path, bool json) {
  SOTTO_TRY(const Bytes file, read_binary_file(path));
  const ParsedLog log = parse_log(file);
  for (const Record& record : log.image.records) {
    SOTTO_TRY(const Json view, to_json(record));
    if (json) {
      print(view.dump() + "\n");
      continue;
    }
    std::string event = view.at("event").dump();
    constexpr std::size_t kShown = 160;
    if (event.size() > kShown) event = event.substr(0, kShown) + "...";
    print(std::to_string(record.index) + "  " + view.at("time").as_string() + "  " + view.at("type").as_string() + "  " +
          event + "\n");
  }
  if (log.damage) return invalid(path + ", entry " + std::to_string(log.damage->entry) + ": " + log.damage->why);
  return {};
}

// A log, a site's own folder, or a run folder with everybody's logs.
Result<void> run_ledger_show(const Options& options) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(options.path)) return show_log(options.path, options.json);
  if (fs::exists(options.path + "/log")) return show_log(options.path + "/log", options.json);
  SOTTO_TRY(const RunFolder folder, read_run_folder(options.path));
  std::vector<const PartyLog*> parties = {&folder.coordinator};
  for (const auto& site : folder.sites) parties.push_back(&site);
  for (const PartyLog* party : parties) {
    if (!options.json) print("== " + party->file() + "\n");
    SOTTO_TRY_VOID(show_log(options.path + "/" + party->file(), options.json));
  }
  return {};
}

Result<void> print_bound(const Json& answer, bool json) {
  if (json) {
    print(answer.dump() + "\n");
  } else {
    print("epsilon " + number(answer.at("epsilon_upper")) + " at delta " + number(answer.at("delta")) +
          " (an upper bound; accountant rdp, the only one in this version; add or remove one unit, worse direction: " +
          answer.at("direction").as_string() + ")\n");
  }
  return {};
}

Result<void> run_epsilon(const Options& options) {
  SOTTO_TRY(const Json found, answer(options.epsilon));
  return print_bound(found, options.json);
}

Result<void> run_calibrate(const Options& options) {
  SOTTO_TRY(const Json found, answer(options.calibrate));
  if (options.json) {
    print(found.dump() + "\n");
  } else {
    print("noise multiplier " + number(found.at("noise_multiplier")) + " gives epsilon " +
          number(found.at("epsilon_upper")) + " (accountant rdp, the only one in this version)\n");
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
  SOTTO_TRY(const Json found, compose_file(options.path, delta));
  return print_bound(found, options.json);
}

void add_folder_commands(Command& root, Options& o) {
  root.subcommand("verify", "check a run folder: chains, signatures, heads, every epsilon, the report")
      .option("path", o.path, "the run folder, with run.json in it", true)
      .option("--expect", o.expect, "file of fingerprints that you got from the parties by another way")
      .flag("--json", o.json, "print JSON")
      .on_run([&o] { return run_verify(o); });
  root.subcommand("report", "make report/report.json and report/report.html of a run folder from its logs")
      .option("path", o.path, "the run folder, with run.json in it", true)
      .flag("--json", o.json, "print JSON")
      .on_run([&o] { return run_report(o); });
  root.subcommand("ledger", "look into event logs")
      .subcommand("show", "print the entries of a log")
      .option("path", o.path, "a log, a site's folder or a run folder", true)
      .flag("--json", o.json, "print one JSON object a line")
      .on_run([&o] { return run_ledger_show(o); });
}

void add_accountant_commands(Command& root, Options& o) {
  root.subcommand("epsilon", "epsilon of Poisson-sampled Gaussian steps")
      .option("--noise-multiplier", o.epsilon.noise_multiplier, "noise standard deviation over the sensitivity", true)
      .option("--sampling-rate", o.epsilon.sampling_rate, "probability of each unit in each step", true)
      .option("--steps", o.epsilon.steps, "number of steps", true)
      .option("--delta", o.epsilon.delta, "delta", true)
      .option("--accountant", o.epsilon.accountant, "rdp (pld is not in this version)")
      .option("--neighbours", o.epsilon.neighbours, "add-remove (replace is not in this version)")
      .flag("--json", o.json, "print JSON")
      .on_run([&o] { return run_epsilon(o); });
  root.subcommand("calibrate", "the smallest noise multiplier that stays within epsilon")
      .option("--epsilon", o.calibrate.epsilon, "epsilon", true)
      .option("--delta", o.calibrate.delta, "delta", true)
      .option("--sampling-rate", o.calibrate.sampling_rate, "probability of each unit in each step", true)
      .option("--steps", o.calibrate.steps, "number of steps", true)
      .option("--accountant", o.calibrate.accountant, "rdp (pld is not in this version)")
      .flag("--json", o.json, "print JSON")
      .on_run([&o] { return run_calibrate(o); });
  root.subcommand("compose", "epsilon of a list of events (docs/ledger-format.md)")
      .option("events", o.path, "JSON file", true)
      .option("--delta", o.delta, "goes before the file's delta; without either 1e-5")
      .flag("--json", o.json, "print JSON")
      .on_run([&o] { return run_compose(o); });
}

}  // namespace
}  // namespace sotto::audit

int main(int argc, char** argv) {
  sotto::Cli cli("sotto-audit", SOTTO_VERSION,
                 "Check a run's report and logs, trusting neither side; recompute every epsilon.");
  sotto::audit::Options options;
  sotto::audit::add_folder_commands(cli.root(), options);
  sotto::audit::add_accountant_commands(cli.root(), options);
  return cli.run(argc, argv);
}
