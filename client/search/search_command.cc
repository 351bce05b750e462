#include "client/search/search_command.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "base/files.h"
#include "base/number.h"
#include "base/program/stop_signal.h"
#include "client/search/repeat_and_select.h"
#include "crypto/kdf.h"
#include "crypto/stream_random.h"
#include "plan/plan_file.h"

namespace sotto::client {
namespace {

Json settings_json(const Settings& settings) {
  Json out = Json::object();
  for (const auto& [key, value] : settings) out.set(key, value);
  return out;
}

void sort_by_loss(std::vector<Trial>& trials) { std::ranges::stable_sort(trials, {}, &Trial::loss); }

Result<void> search(const TunePlan& plan, TrialRunner& tuner, std::vector<Trial>& trials) {
  const std::int64_t rungs = plan.kind == SearchKind::kHalving ? plan.rungs : 1;
  std::size_t left = trials.size();
  for (std::int64_t rung = 0; rung < rungs && left > 0; ++rung) {
    for (std::size_t i = 0; i < left; ++i)
      if (trials[i].error.empty()) SOTTO_TRY_VOID(tuner.run(trials[i], rung));
    std::stable_sort(trials.begin(), trials.begin() + static_cast<std::ptrdiff_t>(left),
                     [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
    left = (left + 1) / 2;
  }
  return {};
}

Json finite(double epsilon) { return std::isfinite(epsilon) ? Json(epsilon) : Json("none"); }

Json bounds_json(const SearchCost& cost) {
  return Json::object({{"repeat_and_select", finite(cost.selection)},
                       {"composition", finite(cost.composed)},
                       {"repeat_and_select_with_earlier_runs", finite(cost.selection_with_earlier)},
                       {"composition_with_earlier_runs", finite(cost.composed_with_earlier)}});
}

// Both bounds, and which was taken before a record was read.
std::string bounds_text(const SearchCost& cost, bool composed) {
  char line[400];
  std::snprintf(line, sizeof line,
                "epsilon of the search: %s by repeat-and-select, %s for the same number of trials, fixed and each "
                "released; with earlier runs %s and %s\n",
                shown_up(cost.selection).c_str(), shown_up(cost.composed).c_str(),
                shown_up(cost.selection_with_earlier).c_str(), shown_up(cost.composed_with_earlier).c_str());
  std::string out = line;
  if (composed)
    return out +
           "the second is smaller and was chosen before any record was read: the trials' number is fixed, and each is "
           "charged\n";
  if (cost.composed_with_earlier < cost.selection_with_earlier)
    out += "the second would have cost less; smaller = true takes it, before a record is read\n";
  return out + "charged: the first\n";
}

Json report_of(const TunePlan& plan, const std::vector<Trial>& trials, const std::string& best, const Json& epsilon) {
  Json all = Json::array();
  for (const auto& t : trials)
    all.push(Json::object({{"trial", t.number},
                           {"settings", settings_json(t.settings)},
                           {"loss", std::isfinite(t.loss) ? Json(t.loss) : Json()},
                           {"error", t.error}}));
  return Json::object({{"trials", std::move(all)},
                       {"best", best},
                       {"public_text", !plan.public_text.empty()},
                       {"accounting", "composition"},
                       {"epsilon_of_everything", epsilon}});
}

std::string text_of(const TunePlan& plan, const std::vector<Trial>& trials, const std::string& best, const Json& epsilon) {
  std::string out;
  for (const auto& t : trials) {
    char line[80];
    std::snprintf(line, sizeof line, "%4zu  %-10s", t.number,
                  std::isfinite(t.loss) ? Json(std::round(t.loss * 1e4) / 1e4).dump().c_str() : "-");
    out += line + settings_json(t.settings).dump() + (t.error.empty() ? "" : "  " + t.error) + "\n";
  }
  out += "best: " + best + "\n";
  if (!plan.public_text.empty())
    return out + "all trials were on public text: no epsilon was spent, and the settings may be used freely\n";
  return out + "epsilon of everything that the budget has spent, all trials included: " + epsilon.dump() +
         "; a run with the best settings comes on top\n";
}

// Where each trial's adapter may be released; `priced` where a random number of trials would have cost more.
Result<void> search_all(const TuneRequest& request, TrialRunner& tuner, const std::optional<SearchCost>& priced) {
  const TunePlan& plan = tuner.plan();
  crypto::StreamRandom random(
      crypto::StreamKey(crypto::hkdf_sha256<32>({}, as_bytes(std::to_string(plan.seed)), as_bytes("sotto/tune/v1"))));
  SOTTO_TRY(const auto settings, settings_of(plan, random));
  std::vector<Trial> trials;
  for (const auto& s : settings) trials.push_back({s, trials.size() + 1, "", INFINITY, nullptr, ""});
  SOTTO_TRY_VOID(search(plan, tuner, trials));
  sort_by_loss(trials);
  if (!std::isfinite(trials.front().loss)) return refused("no trial could be trained; the first: " + trials.front().error);
  // The newest trial's: epsilons only grow.
  Json epsilon = trials.front().epsilon;
  for (const auto& t : trials)
    if (t.epsilon.is_number() && (!epsilon.is_number() || t.epsilon.as_double() > epsilon.as_double())) epsilon = t.epsilon;
  const std::string best = plan.out + "/best.toml";
  SOTTO_TRY_VOID(write_file_atomically(best, tuner.text_with(trials.front().settings)));
  Json report = report_of(plan, trials, best, epsilon);
  if (priced) report.set("bounds", bounds_json(*priced));
  std::cout << (request.json ? report.dump() + "\n"
                             : (priced ? bounds_text(*priced, true) : "") + text_of(plan, trials, best, epsilon));
  return {};
}

// Nothing but the best trial is told: neither how many there were nor what they were.
Result<void> search_and_select(const TuneRequest& request, TrialRunner& tuner, const SearchCost& cost,
                               const std::function<bool()>& stop) {
  const TunePlan& plan = tuner.plan();
  SOTTO_TRY(const auto selected, select_best(tuner, cost, stop));
  const std::string best = plan.out + "/best.toml";
  SOTTO_TRY_VOID(write_file_atomically(best, selected.settings));
  const Json report = Json::object({{"best", best},
                                    {"adapter", selected.best.folder + "/adapter"},
                                    {"settings", settings_json(selected.best.settings)},
                                    {"loss", selected.best.loss},
                                    {"public_text", false},
                                    {"accounting", "repeat_and_select"},
                                    {"number_of_trials", privacy::to_string(plan.repeat)},
                                    {"mean_number", plan.trials},
                                    {"bounds", bounds_json(cost)},
                                    {"epsilon", cost.selection},
                                    {"epsilon_of_everything", cost.selection_with_earlier}});
  if (request.json) {
    std::cout << report.dump() << "\n";
    return {};
  }
  std::cout << bounds_text(cost, false) << "best: " << best << ", loss "
            << Json(std::round(selected.best.loss * 1e4) / 1e4).dump() << ", "
            << settings_json(selected.best.settings).dump() << "\nits adapter: " << selected.best.folder
            << "/adapter; no other run is kept\n";
  return {};
}

}  // namespace

Result<void> tune(const TuneRequest& request, const std::function<bool()>& stop) {
  SOTTO_TRY(const TunePlan plan, read_tune_plan(request.plan));
  SOTTO_TRY(std::string text, read_text_file(plan.plan));
  SOTTO_TRY(const auto file, plan::read_plan_file(plan.plan, plan::PlanUse::kAlone));
  SOTTO_TRY_VOID(make_folder(plan.out, FileMode::kPrivate));
  const std::function<bool()> asked = stop ? stop : [] { return false; };
  TrialRunner tuner(plan, std::move(text), file.plan.run.value(), asked);
  if (plan.repeat == privacy::TrialsKind::kNone) return search_all(request, tuner, {});
  SOTTO_TRY(const auto cost, cost_of(tuner));
  if (plan.smaller && cost.composed_with_earlier <= cost.selection_with_earlier) return search_all(request, tuner, cost);
  return search_and_select(request, tuner, cost, asked);
}

void add_search_command(Command& root, TuneRequest& request) {
  root.group("Alone");
  root.subcommand("tune", "search for a plan's settings, each trial charged to the budget or on public text")
      .option("file", request.plan, "what to search over (TUNE.toml)", true)
      .json(request.json)
      .example("tune.toml")
      .on_run([&request] { return tune(request, stop_on_signals()); });
}

}  // namespace sotto::client
