#include "lineage/gate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/config_reader.h"
#include "base/files.h"
#include "crypto/hash.h"

namespace sotto::lineage {
namespace {

constexpr std::array kChecks = {"quality", "general", "safety", "audit", "review"};

std::string number(double v) { return Json(v).dump(); }

MetricRule read_rule(ConfigReader& in, const std::string& table, const char* bound, double fallback) {
  MetricRule rule;
  if (in.has("waived." + table) && !in.has(table + ".task")) return rule;
  rule.task = in.text(table + ".task");
  rule.metric = in.text(table + ".metric", table == "safety" ? std::optional<std::string>("safety") : std::nullopt);
  rule.bound = in.number(table + "." + bound, fallback);
  rule.min_units = in.integer(table + ".min_units", table == "safety" ? 1 : 10);
  if (rule.min_units < 1) in.reject(table + ".min_units", "must be at least 1");
  if (!std::isfinite(rule.bound) || (table == "general" && rule.bound < 0))
    in.reject(table + "." + bound, "must be a number" + std::string(table == "general" ? ", 0 or above" : ""));
  return rule;
}

Finding passed_if(const char* check, bool good, std::string sentence, Json facts) {
  return {check, good ? Finding::State::kPassed : Finding::State::kFailed, std::move(sentence), std::move(facts)};
}
Finding failed(const char* check, const std::string& sentence) {
  return {check, Finding::State::kFailed, sentence, nullptr};
}

// A result file and what it is the hash of.
struct ResultFile {
  Json json;
  std::string sha256;
};
Result<ResultFile> read_result(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  SOTTO_TRY(Json json, Json::parse(text, path));
  if (!json.is_object()) return invalid(path + ": is no JSON object");
  return ResultFile{std::move(json), to_hex(crypto::sha256(as_bytes(text)))};
}

// Of the task and the base that the gate and the passport ask for?
Result<void> fits(const Json& json, const MetricRule& rule, const Passport& passport, const std::string& path) {
  const auto task = json.get_string("task");
  if (!task.ok() || *task != rule.task)
    return invalid(path + ": is of task '" + (task.ok() ? *task : "?") + "', and the gate asks for '" + rule.task + "'");
  const auto base = json.get_string("base_sha256");
  if (!base.ok())
    return invalid(path +
                   ": does not say by base_sha256 which model was evaluated; make it with this version of 'eval' or "
                   "'compare' and --json");
  if (*base != to_hex(passport.base))
    return invalid(path + ": is of base model " + base->substr(0, 16) + "..., and this adapter's is " +
                   to_hex(passport.base).substr(0, 16) + "...");
  SOTTO_TRY(const auto units, json.get_int("units"));
  if (units < rule.min_units)
    return refused(path + ": rests on " + std::to_string(units) + " units, and at least " + std::to_string(rule.min_units) +
                   " are asked for (min_units)");
  return {};
}

// The name under which a result lists the model with these weights ("": the base).
Result<std::string> name_in(const Json& json, const std::string& weights, const std::string& path) {
  SOTTO_TRY(const auto* models, json.get_array("models"));
  for (const auto& m : *models) {
    const auto found = m.get_string("weights");
    if (found.ok() && *found == weights) return m.get_string("model");
  }
  return invalid(path + ": does not hold " +
                 (weights.empty() ? std::string("the base model") : "model " + weights.substr(0, 12)));
}

bool lower_is_better(const std::string& metric) {
  static const std::set<std::string> kLower{"loss", "perplexity", "citation_invented"};
  return kLower.contains(metric);
}

struct Gain {
  double value = 0, low = 0, high = 0;  // positive: better
};

// Of `to` over `from`; both are weights in hexadecimal, "" for the base.
Result<Gain> gain_of(const Json& json, const MetricRule& rule, std::pair<std::string, std::string> models,
                     const std::string& path) {
  SOTTO_TRY(const std::string from, name_in(json, models.first, path));
  SOTTO_TRY(const std::string to, name_in(json, models.second, path));
  SOTTO_TRY(const auto* pairs, json.get_array("differences"));
  for (const auto& pair : *pairs) {
    SOTTO_TRY(const std::string a, pair.get_string("from"));
    SOTTO_TRY(const std::string b, pair.get_string("to"));
    const bool forward = a == from && b == to, backward = a == to && b == from;
    if (!forward && !backward) continue;
    const Json* metrics = pair.find("metrics");
    const Json* metric = metrics ? metrics->find(rule.metric) : nullptr;
    if (!metric) return invalid(path + ": has no metric '" + rule.metric + "'");
    Gain gain;
    SOTTO_TRY(gain.value, metric->get_double("difference"));
    SOTTO_TRY(gain.low, metric->get_double("low"));
    SOTTO_TRY(gain.high, metric->get_double("high"));
    if (forward == lower_is_better(rule.metric)) gain = {-gain.value, -gain.high, -gain.low};
    return gain;
  }
  return invalid(path + ": does not compare the two models");
}

Json facts_of(const MetricRule& rule, const Gain& gain, const std::string& sha256) {
  return Json::object({{"task", rule.task},
                       {"metric", rule.metric},
                       {"gain_over_base", gain.value},
                       {"low", gain.low},
                       {"high", gain.high},
                       {"file_sha256", sha256}});
}

Result<Finding> quality(const Gate& gate, const Passport& passport, const std::optional<Digest>& in_use,
                        const std::string& path) {
  const MetricRule& rule = gate.quality;
  SOTTO_TRY(const ResultFile result, read_result(path));
  SOTTO_TRY_VOID(fits(result.json, rule, passport, path));
  SOTTO_TRY(const Gain gain, gain_of(result.json, rule, {"", passport.id()}, path));
  const std::string found = rule.metric + " gains " + number(gain.value) + " over the base, interval [" + number(gain.low) +
                            ", " + number(gain.high) + "]";
  Json facts = facts_of(rule, gain, result.sha256);
  if (!(gain.low > rule.bound))
    return passed_if("quality", false, found + "; its lower end must lie above " + number(rule.bound), facts);
  if (!in_use || *in_use == passport.model) return passed_if("quality", true, found, facts);
  const auto over = gain_of(result.json, rule, {to_hex(*in_use), passport.id()}, path);
  if (!over.ok())
    return failed("quality", over.error().message + "; compare it with the model in use, too: --adapter for " +
                                 to_hex(*in_use).substr(0, 12) + " and for this one");
  facts.set("gain_over_model_in_use", over->value);
  return passed_if("quality", over->value >= 0, found + "; over the model in use " + number(over->value), std::move(facts));
}

Result<Finding> general(const Gate& gate, const Passport& passport, const std::string& path) {
  const MetricRule& rule = gate.general;
  SOTTO_TRY(const ResultFile result, read_result(path));
  SOTTO_TRY_VOID(fits(result.json, rule, passport, path));
  SOTTO_TRY(const Gain gain, gain_of(result.json, rule, {"", passport.id()}, path));
  return passed_if("general", gain.low >= -rule.bound,
                   rule.metric + " changes by " + number(gain.value) + " (positive: better), interval [" + number(gain.low) +
                       ", " + number(gain.high) + "]; a loss of at most " + number(rule.bound) + " is allowed",
                   facts_of(rule, gain, result.sha256));
}

Result<Finding> safety(const Gate& gate, const Passport& passport, const std::string& path) {
  const MetricRule& rule = gate.safety;
  SOTTO_TRY(const ResultFile result, read_result(path));
  SOTTO_TRY_VOID(fits(result.json, rule, passport, path));
  const Json* model = result.json.find("metrics") ? &result.json : nullptr;
  if (const Json* models = result.json.find("models"); models && models->is_array())
    for (const auto& m : models->items()) {
      const auto weights = m.get_string("weights");
      if (weights.ok() && *weights == passport.id()) model = &m;
    }
  const auto weights = model ? model->get_string("weights") : Result<std::string>(invalid(""));
  if (!weights.ok() || *weights != passport.id()) return invalid(path + ": does not hold model " + passport.short_id());
  const Json* metrics = model->find("metrics");
  const Json* metric = metrics ? metrics->find(rule.metric) : nullptr;
  if (!metric) return invalid(path + ": has no metric '" + rule.metric + "'");
  SOTTO_TRY(const double value, metric->get_double("value"));
  return passed_if(
      "safety", value >= rule.bound,
      rule.metric + " is " + number(value) + "; at least " + number(rule.bound) + " is asked for",
      Json::object({{"task", rule.task}, {"metric", rule.metric}, {"value", value}, {"file_sha256", result.sha256}}));
}

Result<Finding> review(const Gate& gate, const Passport& passport, const std::optional<Digest>& in_use,
                       const std::string& path) {
  SOTTO_TRY(const ResultFile result, read_result(path));
  SOTTO_TRY(const auto* weights, result.json.get_array("weights"));
  if (weights->size() != 2 || !(*weights)[0].is_string() || !(*weights)[1].is_string())
    return invalid(path + ": 'weights' does not name two models");
  const bool second = (*weights)[1].as_string() == passport.id();
  const std::string& mine = (*weights)[second ? 1 : 0].as_string();
  const std::string& other = (*weights)[second ? 0 : 1].as_string();
  if (mine != passport.id()) return invalid(path + ": is no review of model " + passport.short_id());
  if (!other.empty() && (!in_use || other != to_hex(*in_use)))
    return invalid(path + ": compares it with " + other.substr(0, 12) + ", which is neither the base nor the model in use");
  const Json* preference = result.json.find("preference");
  if (!preference) return invalid(path + ": has no preference");
  SOTTO_TRY(double rate, preference->get_double("win_rate"));
  if (!second) rate = 1 - rate;
  SOTTO_TRY(const auto* raters, result.json.get_array("raters"));
  std::int64_t complete = 0;
  for (const auto& rater : *raters) {
    SOTTO_TRY(const auto rated, rater.get_int("rated"));
    SOTTO_TRY(const auto of, rater.get_int("of"));
    complete += of > 0 && rated == of ? 1 : 0;
  }
  return passed_if("review", rate >= gate.min_win_rate && complete >= gate.min_raters,
                   "win rate " + number(rate) + " against " + (other.empty() ? "the base" : "the model in use") + ", by " +
                       std::to_string(complete) + " who rated everything; at least " + number(gate.min_win_rate) + " by " +
                       std::to_string(gate.min_raters) + " is asked for",
                   Json::object({{"win_rate", rate}, {"raters", complete}, {"file_sha256", result.sha256}}));
}

const char* how_to_get(const std::string& check) {
  if (check == "quality")
    return "--quality FILE, of 'sotto-client compare --task .. --adapter .. --json' on the domain's task";
  if (check == "general") return "--general FILE, of 'sotto-client compare --task .. --adapter .. --json' on general text";
  if (check == "safety")
    return "--safety FILE, of 'sotto-client eval --task .. --adapter .. --json' on a task with safety rules";
  if (check == "audit")
    return "--audit FOLDER, of 'sotto-client train' or 'sotto-coordinator report', with [audit] canaries in the plan";
  return "--review FILE, of 'sotto-client review report FOLDER --json'";
}

Finding settled(const char* check, Result<Finding> found) {
  return found.ok() ? std::move(found).value() : failed(check, found.error().message);
}

}  // namespace

Result<Gate> read_gate(const std::string& path) {
  SOTTO_TRY(ConfigReader in, ConfigReader::read_file(path));
  Gate gate;
  gate.path = path;
  gate.domain = in.text("domain");
  if (in.has("domain") && !is_valid_name(gate.domain))
    in.reject("domain", "is '" + gate.domain + "', must be 1 to 64 of a-z, 0-9 and '-'");
  for (const char* check : kChecks) {
    const std::string key = std::string("waived.") + check;
    if (!in.has(key)) continue;
    gate.waived[check] = in.text(key);
    if (gate.waived[check].size() < 10) in.reject(key, "must say why, in a sentence: it goes into the model's card");
  }
  gate.quality = read_rule(in, "quality", "min_gain", 0);
  gate.general = read_rule(in, "general", "max_drop", 0);
  gate.safety = read_rule(in, "safety", "min", 1);
  gate.min_win_rate = in.number("review.min_win_rate", 0.5);
  if (!(gate.min_win_rate >= 0 && gate.min_win_rate <= 1)) in.reject("review.min_win_rate", "must be from 0 to 1");
  gate.min_raters = in.integer("review.min_raters", 2);
  if (gate.min_raters < 1) in.reject("review.min_raters", "must be at least 1");
  SOTTO_TRY_VOID(in.finish());
  return gate;
}

const char* to_string(Finding::State state) {
  switch (state) {
    case Finding::State::kPassed: return "passed";
    case Finding::State::kFailed: return "failed";
    case Finding::State::kMissing: return "missing";
    case Finding::State::kWaived: return "waived";
  }
  return "?";
}

Json to_json(const Finding& finding) {
  return Json::object(
      {{"check", finding.check}, {"state", to_string(finding.state)}, {"says", finding.sentence}, {"facts", finding.facts}});
}

std::vector<Finding> judge(const Gate& gate, const Passport& passport, const std::optional<Digest>& in_use,
                           const Evidence& evidence) {
  std::vector<Finding> out;
  const auto add = [&](const char* check, const std::string& path, auto&& judged) {
    if (const auto reason = gate.waived.find(check); reason != gate.waived.end())
      out.push_back({check, Finding::State::kWaived, reason->second, nullptr});
    else if (path.empty())
      out.push_back(
          {check, Finding::State::kMissing, std::string("no result was given; give ") + how_to_get(check), nullptr});
    else
      out.push_back(settled(check, judged()));
  };
  add("quality", evidence.quality, [&] { return quality(gate, passport, in_use, evidence.quality); });
  add("general", evidence.general, [&] { return general(gate, passport, evidence.general); });
  add("safety", evidence.safety, [&] { return safety(gate, passport, evidence.safety); });
  add("audit", evidence.audit, [&] { return Result<Finding>(judge_audit(passport, evidence.audit)); });
  add("review", evidence.review, [&] { return review(gate, passport, in_use, evidence.review); });
  return out;
}

bool lets_through(const std::vector<Finding>& findings) {
  return std::ranges::all_of(
      findings, [](const Finding& f) { return f.state == Finding::State::kPassed || f.state == Finding::State::kWaived; });
}

}  // namespace sotto::lineage
