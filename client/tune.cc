#include "client/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "base/config_reader.h"
#include "base/files.h"
#include "base/log.h"
#include "audit/plan_file.h"
#include "client/train.h"
#include "crypto/kdf.h"
#include "crypto/stream_random.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

Parameter read_parameter(ConfigReader& in) {
  Parameter p{in.text("key"), in.texts("values", std::vector<std::string>{}), in.number("low", 0.0), in.number("high", 0.0), in.boolean("log", false)};
  const bool range = in.has("low") || in.has("high");
  if (range == !p.values.empty()) in.reject("key", "needs either 'values', or 'low' and 'high'");
  if (range && !(std::isfinite(p.low) && std::isfinite(p.high) && p.low < p.high && (!p.logarithmic || p.low > 0))) in.reject("low", "must be below 'high', and above 0 with log = true");
  for (const char* fixed : {"run", "train.out", "privacy.enabled", "privacy.epsilon", "privacy.delta", "privacy.unit"})
    if (p.key == fixed) in.reject("key", "'" + p.key + "' is not a setting to search over");
  return p;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// One setting and what came of it.
struct Trial {
  Settings settings;
  std::size_t number = 0;
  std::string folder;    // of its last run
  double loss = INFINITY;
  Json epsilon;          // .. with everything that was spent before
  std::string error;     // it could not be trained so
};

class Tuner {
 public:
  Tuner(const TunePlan& plan, std::string text, const std::function<bool()>& stop) : plan_(plan), text_(std::move(text)), stop_(stop) {}

  // Trains the trial, from its last adapter where it has one. An exhausted budget ends the search; what else a setting is refused
  // for is that trial's own.
  Result<void> run(Trial& trial, std::int64_t rung) {
    std::string text = text_;
    for (const auto& [key, value] : trial.settings) text = with_setting(text, key, value);
    const std::string name = "t" + std::to_string(trial.number) + "-" + std::to_string(rung);
    text = with_setting(text, "run", Json(run_ + "-" + name).dump());
    if (!trial.folder.empty()) text = with_setting(text, "train.parent", Json(fs::absolute(trial.folder + "/adapter").string()).dump());
    // Beside the plan, since its paths are relative to it.
    const std::string file = (fs::path(plan_.plan).parent_path() / ("." + fs::path(plan_.plan).stem().string() + "-" + name + ".toml")).string();
    SOTTO_TRY_VOID(write_file_atomically(file, text));
    TrainRequest request{file, "", plan_.out + "/" + name, 0, !plan_.public_text.empty(), false};
    request.public_text = plan_.public_text;
    const auto summary = train_once(request, stop_);
    std::error_code ignored;
    fs::remove(file, ignored);
    if (!summary.ok()) {
      if (summary.error().code == ErrorCode::kOverBudget || stop_()) return summary.error();
      trial.error = summary.error().message;
      log(Level::kWarning, "trial_failed", {{"trial", trial.number}, {"reason", trial.error}});
      return {};
    }
    return take(trial, *summary, request.out);
  }

  void set_run(const std::string& run) { run_ = run; }

 private:
  Result<void> take(Trial& trial, const Json& summary, const std::string& folder) {
    const auto& evaluations = summary.at("evaluations").items();
    const Json* loss = evaluations.empty() ? nullptr : evaluations.back().find("loss");
    if (!loss) return invalid(plan_.plan + ": trials are compared by the loss on data outside the guarantee; set [train] validation, or holdout_fraction in site.toml");
    trial.loss = loss->as_double();
    trial.epsilon = summary.at("epsilon_with_earlier_runs");
    trial.folder = folder;
    log(Level::kInfo, "trial", {{"trial", trial.number}, {"loss", trial.loss}});
    return {};
  }

  const TunePlan& plan_;
  std::string text_;
  std::string run_;
  const std::function<bool()>& stop_;
};

Json settings_json(const Settings& settings) {
  Json out = Json::object();
  for (const auto& [key, value] : settings) out.set(key, value);
  return out;
}

void sort_by_loss(std::vector<Trial>& trials) { std::ranges::stable_sort(trials, {}, &Trial::loss); }

Result<void> search(const TunePlan& plan, Tuner& tuner, std::vector<Trial>& trials) {
  const std::int64_t rungs = plan.kind == SearchKind::kHalving ? plan.rungs : 1;
  std::size_t left = trials.size();
  for (std::int64_t rung = 0; rung < rungs && left > 0; ++rung) {
    for (std::size_t i = 0; i < left; ++i)
      if (trials[i].error.empty()) SOTTO_TRY_VOID(tuner.run(trials[i], rung));
    std::stable_sort(trials.begin(), trials.begin() + static_cast<std::ptrdiff_t>(left), [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
    left = (left + 1) / 2;
  }
  return {};
}

Json report_of(const TunePlan& plan, const std::vector<Trial>& trials, const std::string& best, const Json& epsilon) {
  Json all = Json::array();
  for (const auto& t : trials) all.push(Json::object({{"trial", t.number}, {"settings", settings_json(t.settings)}, {"loss", std::isfinite(t.loss) ? Json(t.loss) : Json()}, {"error", t.error}}));
  return Json::object({{"trials", std::move(all)}, {"best", best}, {"public_text", !plan.public_text.empty()}, {"epsilon_of_everything", epsilon}});
}

std::string text_of(const TunePlan& plan, const std::vector<Trial>& trials, const std::string& best, const Json& epsilon) {
  std::string out;
  for (const auto& t : trials) {
    char line[80];
    std::snprintf(line, sizeof line, "%4zu  %-10s", t.number, std::isfinite(t.loss) ? Json(std::round(t.loss * 1e4) / 1e4).dump().c_str() : "-");
    out += line + settings_json(t.settings).dump() + (t.error.empty() ? "" : "  " + t.error) + "\n";
  }
  out += "best: " + best + "\n";
  if (!plan.public_text.empty()) return out + "all trials were on public text: no epsilon was spent, and the settings may be used freely\n";
  return out + "epsilon of everything that the budget has spent, all trials included: " + epsilon.dump() + "; a run with the best settings comes on top\n";
}

}  // namespace

Result<TunePlan> read_tune_plan(const std::string& path) {
  SOTTO_TRY(ConfigReader in, ConfigReader::read_file(path));
  const auto folder = fs::path(path).parent_path();
  const auto beside = [&](const std::string& file) { return file.empty() ? file : (folder / file).lexically_normal().string(); };
  TunePlan plan;
  plan.path = path;
  plan.plan = beside(in.text("plan"));
  plan.out = beside(in.text("out", "tune"));
  plan.public_text = beside(in.text("public", ""));
  const auto kind = in.text("kind", "random");
  if (kind == "grid") plan.kind = SearchKind::kGrid;
  else if (kind == "halving") plan.kind = SearchKind::kHalving;
  else if (kind != "random") in.reject("kind", "is \"" + kind + "\", must be \"grid\", \"random\" or \"halving\"");
  plan.trials = in.integer("trials", 8);
  if (plan.trials < 1 || plan.trials > 1000) in.reject("trials", "must be from 1 to 1000");
  plan.rungs = in.integer("rungs", 3);
  if (plan.rungs < 1 || plan.rungs > 20) in.reject("rungs", "must be from 1 to 20");
  plan.seed = static_cast<std::uint64_t>(in.integer("seed", 1));
  for (auto& table : in.tables("parameter")) {
    plan.parameters.push_back(read_parameter(table));
    if (plan.kind == SearchKind::kGrid && plan.parameters.back().values.empty()) table.reject("low", "is a range, and a grid needs 'values'");
  }
  if (plan.parameters.empty() && in.has("plan")) in.reject("plan", "comes without any [[parameter]] to search over");
  SOTTO_TRY_VOID(in.finish());
  return plan;
}

Result<std::vector<Settings>> settings_of(const TunePlan& plan, RandomSource& random) {
  std::vector<Settings> out;
  if (plan.kind == SearchKind::kGrid) {
    out.push_back({});
    for (const auto& p : plan.parameters) {
      std::vector<Settings> longer;
      for (const auto& s : out)
        for (const auto& value : p.values) {
          longer.push_back(s);
          longer.back().emplace_back(p.key, value);
        }
      out = std::move(longer);
      if (out.size() > 1000) return invalid(plan.path + ": the grid has more than 1000 points; leave some out, or use kind = \"random\"");
    }
    return out;
  }
  for (std::int64_t t = 0; t < plan.trials; ++t) {
    Settings one;
    for (const auto& p : plan.parameters) {
      if (!p.values.empty()) {
        one.emplace_back(p.key, p.values[random.below(p.values.size())]);
        continue;
      }
      const double u = static_cast<double>(random.below(1ULL << 53)) / 9007199254740992.0;
      const double value = p.logarithmic ? std::exp(std::log(p.low) + u * (std::log(p.high) - std::log(p.low))) : p.low + u * (p.high - p.low);
      one.emplace_back(p.key, Json(value).dump());
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::string with_setting(const std::string& toml, const std::string& key, const std::string& value) {
  const auto dot = key.rfind('.');
  const std::string table = dot == key.npos ? "" : key.substr(0, dot), name = dot == key.npos ? key : key.substr(dot + 1);
  const std::string line = name + " = " + value + "\n";
  std::string out, current;
  std::size_t table_end = table.empty() ? 0 : std::string::npos;  // where a new line of the table may go
  bool done = false;
  for (std::size_t begin = 0; begin < toml.size();) {
    const std::size_t end = std::min(toml.find('\n', begin), toml.size() - 1) + 1;
    const std::string text = toml.substr(begin, end - begin), bare = trimmed(text.substr(0, text.find_first_of("#\n")));
    begin = end;
    if (bare.starts_with('[')) current = bare.starts_with("[[") ? "[" : trimmed(bare.substr(1, bare.find(']') - 1));
    const bool is_it = !done && current == table && !bare.starts_with('[') && trimmed(bare.substr(0, bare.find('='))) == name && bare.find('=') != bare.npos;
    out += is_it ? line : text;
    done = done || is_it;
    if (current == table && bare.starts_with('[')) table_end = out.size();
  }
  if (done) return out;
  if (table_end != std::string::npos) return out.insert(table_end, line);
  return out + (out.empty() || out.ends_with('\n') ? "" : "\n") + "[" + table + "]\n" + line;
}

Result<void> tune(const TuneRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(const TunePlan plan, read_tune_plan(request.plan));
  SOTTO_TRY(const std::string text, read_text_file(plan.plan));
  SOTTO_TRY(const auto file, audit::read_plan_file(plan.plan, audit::PlanUse::kAlone));
  const std::string seed = std::to_string(plan.seed);
  crypto::StreamRandom random(crypto::StreamKey(crypto::hkdf_sha256<32>({}, as_bytes(seed), as_bytes("sotto/tune/v1"))));
  SOTTO_TRY(const auto settings, settings_of(plan, random));
  SOTTO_TRY_VOID(make_folder(plan.out, FileMode::kPrivate));
  std::vector<Trial> trials;
  for (const auto& s : settings) trials.push_back({s, trials.size() + 1, "", INFINITY, nullptr, ""});
  const std::function<bool()> asked = stop ? stop : [] { return false; };
  Tuner tuner(plan, text, asked);
  tuner.set_run(file.plan.run.value());
  SOTTO_TRY_VOID(search(plan, tuner, trials));
  sort_by_loss(trials);
  if (!std::isfinite(trials.front().loss)) return refused("no trial could be trained; the first: " + trials.front().error);
  // The newest trial's: epsilons only grow.
  Json epsilon = trials.front().epsilon;
  for (const auto& t : trials)
    if (t.epsilon.is_number() && (!epsilon.is_number() || t.epsilon.as_double() > epsilon.as_double())) epsilon = t.epsilon;
  std::string best_text = text;
  for (const auto& [key, value] : trials.front().settings) best_text = with_setting(best_text, key, value);
  const std::string best = plan.out + "/best.toml";
  SOTTO_TRY_VOID(write_file_atomically(best, best_text));
  std::cout << (request.json ? report_of(plan, trials, best, epsilon).dump() + "\n" : text_of(plan, trials, best, epsilon));
  return {};
}

}  // namespace sotto::client
