#include "curation/usage_drift.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <span>

#include "curation/diversity.h"
#include "evaluation/statistics.h"

namespace sotto::curation {
namespace {

using Window = std::span<const Use>;

std::vector<Window> windows_of(const std::vector<Use>& uses, std::size_t size) {
  std::vector<Window> out;
  for (std::size_t at = 0; at < uses.size(); at += size)
    out.push_back(Window(uses).subspan(at, std::min(size, uses.size() - at)));
  if (out.size() > 1 && out.back().size() < (size + 1) / 2) {  // too few to say anything: they join the window before
    const std::size_t rest = out.back().size();
    out.pop_back();
    const std::size_t begin = uses.size() - rest - out.back().size();
    out.back() = Window(uses).subspan(begin);
  }
  return out;
}

Json share_json(double successes, double n, double confidence) {
  if (n == 0) return Json();
  const auto interval = evaluation::wilson(successes, n, confidence);
  return Json::object({{"share", successes / n}, {"low", interval.low}, {"high", interval.high}, {"n", n}});
}

template <class Has, class Good>
Json share_of(Window window, double confidence, Has has, Good good) {
  double n = 0, successes = 0;
  for (const auto& use : window) {
    if (!has(use)) continue;
    n += 1;
    successes += good(use) ? 1 : 0;
  }
  return share_json(successes, n, confidence);
}

QueryProfile profile_of(Window window) {
  QueryProfile out;
  for (const auto& use : window) out.add(use.question());
  return out;
}

// What a window of `size` questions that came from the reference itself would show, in `confidence` of the cases.
double chance_divergence(const std::vector<std::string>& reference, const QueryProfile& whole, std::size_t size,
                         const DriftOptions& options) {
  std::mt19937_64 random(options.seed);
  std::vector<double> found;
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    QueryProfile drawn;
    for (std::size_t i = 0; i < size; ++i) drawn.add(reference[random() % reference.size()]);
    found.push_back(drawn.divergence(whole));
  }
  std::ranges::sort(found);
  return found[static_cast<std::size_t>(options.confidence * static_cast<double>(found.size() - 1))];
}

Json window_json(Window window, const DriftOptions& options) {
  return Json::object({{"from", window.front().time},
                       {"to", window.back().time},
                       {"queries", window.size()},
                       {"correct", share_of(
                                       window, options.confidence, [](const Use& u) { return u.correct.has_value(); },
                                       [](const Use& u) { return *u.correct; })},
                       {"good_ratings", share_of(
                                            window, options.confidence, [](const Use& u) { return u.rating.has_value(); },
                                            [](const Use& u) { return *u.rating >= 4; })},
                       {"corrected", share_of(
                                         window, options.confidence, [](const Use&) { return true; },
                                         [](const Use& u) { return !u.correction.empty(); })}});
}

std::string percent(const Json& share) {
  char text[80];
  std::snprintf(text, sizeof text, "%.1f %% [%.1f, %.1f]", 100 * share.at("share").as_double(),
                100 * share.at("low").as_double(), 100 * share.at("high").as_double());
  return text;
}

// The last window against the first, when both know the share.
void compare_share(const Json& first, const Json& last, const char* name, bool more_is_better, Json& signals) {
  const Json &before = first.at(name), &now = last.at(name);
  if (before.is_null() || now.is_null()) return;
  const bool worse = more_is_better ? now.at("high").as_double() < before.at("low").as_double()
                                    : now.at("low").as_double() > before.at("high").as_double();
  if (worse)
    signals.push("the share of answers that are '" + std::string(name) + "' went from " + percent(before) + " to " +
                 percent(now));
}

}  // namespace

Result<Json> usage_report(const std::vector<Use>& uses, const std::vector<std::string>& training,
                          const DriftOptions& options) {
  if (uses.size() < 2 * options.window && training.empty())
    return invalid("there are " + std::to_string(uses.size()) + " queries: without --baseline two windows of " +
                   std::to_string(options.window) + " are needed; give a smaller --window");
  if (uses.size() < options.window)
    return invalid("there are " + std::to_string(uses.size()) + " queries, fewer than one window of " +
                   std::to_string(options.window) + "; give a smaller --window");
  const auto windows = windows_of(uses, options.window);
  std::vector<std::string> reference = training;
  if (reference.empty())
    for (const auto& use : windows.front()) reference.push_back(use.question());
  QueryProfile whole;
  for (const auto& text : reference) whole.add(text);
  Json all = Json::array(), signals = Json::array();
  for (const auto& window : windows) {
    Json one = window_json(window, options);
    one.set("divergence", profile_of(window).divergence(whole));
    one.set("divergence_by_chance", chance_divergence(reference, whole, window.size(), options));
    all.push(std::move(one));
  }
  const Json &first = all.at(0), &last = all.items().back();
  if (last.at("divergence").as_double() > last.at("divergence_by_chance").as_double())
    signals.push("the questions have moved away from the training data: divergence " + last.at("divergence").dump() +
                 " bits, " + last.at("divergence_by_chance").dump() + " by chance");
  if (windows.size() > 1) {
    compare_share(first, last, "correct", true, signals);
    compare_share(first, last, "good_ratings", true, signals);
    compare_share(first, last, "corrected", false, signals);
  }
  const bool retrain = !signals.items().empty();
  return Json::object(
      {{"queries", uses.size()}, {"windows", std::move(all)}, {"signals", std::move(signals)}, {"retrain", retrain}});
}

std::string usage_text(const Json& report) {
  std::string out = std::to_string(report.at("queries").as_int()) + " queries\n";
  for (const auto& w : report.at("windows").items()) {
    char line[200];
    std::snprintf(line, sizeof line, "  %-20s %6lld queries   divergence %.3f bits (%.3f by chance)",
                  w.at("from").as_string().substr(0, 20).c_str(), static_cast<long long>(w.at("queries").as_int()),
                  w.at("divergence").as_double(), w.at("divergence_by_chance").as_double());
    out += line;
    for (const char* name : {"correct", "good_ratings", "corrected"})
      if (!w.at(name).is_null()) out += std::string("   ") + name + " " + percent(w.at(name));
    out += "\n";
  }
  for (const auto& s : report.at("signals").items()) out += "SIGNAL: " + s.as_string() + "\n";
  return out + (report.at("retrain").as_bool() ? "look at the newest questions, and train again\n" : "no signal\n");
}

}  // namespace sotto::curation
