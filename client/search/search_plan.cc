// Reading TUNE.toml, and the settings that a search tries: every combination, random draws, or each value of one parameter.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/config_reader.h"
#include "base/json.h"
#include "client/search/search_command.h"

namespace sotto::client {
namespace {

namespace fs = std::filesystem;

Parameter read_parameter(ConfigReader& in) {
  Parameter p{in.text("key"), in.texts("values", std::vector<std::string>{}), in.number("low", 0.0), in.number("high", 0.0),
              in.boolean("log", false)};
  const bool range = in.has("low") || in.has("high");
  if (range == !p.values.empty()) in.reject("key", "needs either 'values', or 'low' and 'high'");
  if (range && !(std::isfinite(p.low) && std::isfinite(p.high) && p.low < p.high && (!p.logarithmic || p.low > 0)))
    in.reject("low", "must be below 'high', and above 0 with log = true");
  for (const char* fixed : {"run", "train.out", "privacy.enabled", "privacy.epsilon", "privacy.delta", "privacy.unit"})
    if (p.key == fixed) in.reject("key", "'" + p.key + "' is not a setting to search over");
  return p;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

void read_repeat(ConfigReader& in, TunePlan& plan) {
  const auto repeat = in.text("repeat", "fixed");
  plan.smaller = in.boolean("smaller", false);
  if (repeat == "geometric")
    plan.repeat = privacy::TrialsKind::kGeometric;
  else if (repeat == "poisson")
    plan.repeat = privacy::TrialsKind::kPoisson;
  else if (repeat != "fixed")
    in.reject("repeat", "is \"" + repeat + "\", must be \"fixed\", \"geometric\" or \"poisson\"");
  const bool random = plan.repeat != privacy::TrialsKind::kNone;
  if (random && plan.kind != SearchKind::kRandom)
    in.reject("repeat", "needs kind = \"random\": what it proves is of runs that are drawn alike");
  if (random && !plan.public_text.empty()) in.reject("repeat", "is for trials that are charged; on public text nothing is");
  if (plan.smaller && !random) in.reject("smaller", "needs repeat = \"geometric\" or \"poisson\"");
}

}  // namespace

Result<TunePlan> read_tune_plan(const std::string& path) {
  SOTTO_TRY(ConfigReader in, ConfigReader::read_file(path));
  const auto folder = fs::path(path).parent_path();
  const auto beside = [&](const std::string& file) {
    return file.empty() ? file : (folder / file).lexically_normal().string();
  };
  TunePlan plan;
  plan.path = path;
  plan.plan = beside(in.text("plan"));
  plan.out = beside(in.text("out", "tune"));
  plan.public_text = beside(in.text("public", ""));
  const auto kind = in.text("kind", "random");
  if (kind == "grid")
    plan.kind = SearchKind::kGrid;
  else if (kind == "halving")
    plan.kind = SearchKind::kHalving;
  else if (kind != "random")
    in.reject("kind", "is \"" + kind + "\", must be \"grid\", \"random\" or \"halving\"");
  plan.trials = in.integer("trials", 8);
  if (plan.trials < 1 || plan.trials > 1000) in.reject("trials", "must be from 1 to 1000");
  read_repeat(in, plan);
  plan.rungs = in.integer("rungs", 3);
  if (plan.rungs < 1 || plan.rungs > 20) in.reject("rungs", "must be from 1 to 20");
  plan.seed = static_cast<std::uint64_t>(in.integer("seed", 1));
  for (auto& table : in.tables("parameter")) {
    plan.parameters.push_back(read_parameter(table));
    if (plan.kind == SearchKind::kGrid && plan.parameters.back().values.empty())
      table.reject("low", "is a range, and a grid needs 'values'");
  }
  if (plan.parameters.empty() && in.has("plan")) in.reject("plan", "comes without any [[parameter]] to search over");
  SOTTO_TRY_VOID(in.finish());
  return plan;
}

Settings draw_settings(const TunePlan& plan, RandomSource& random) {
  Settings one;
  for (const auto& p : plan.parameters) {
    if (!p.values.empty()) {
      one.emplace_back(p.key, p.values[random.below(p.values.size())]);
      continue;
    }
    const double u = static_cast<double>(random.below(1ULL << 53)) / 9007199254740992.0;
    const double value =
        p.logarithmic ? std::exp(std::log(p.low) + u * (std::log(p.high) - std::log(p.low))) : p.low + u * (p.high - p.low);
    one.emplace_back(p.key, Json(value).dump());
  }
  return one;
}

std::vector<Settings> with_each_value(const std::vector<Settings>& all, const Parameter& parameter) {
  std::vector<Settings> out;
  for (const auto& settings : all)
    for (const auto& value : parameter.values) {
      out.push_back(settings);
      out.back().emplace_back(parameter.key, value);
    }
  return out;
}

Result<std::vector<Settings>> settings_of(const TunePlan& plan, RandomSource& random) {
  std::vector<Settings> out;
  if (plan.kind == SearchKind::kGrid) {
    out.push_back({});
    for (const auto& p : plan.parameters) {
      out = with_each_value(out, p);
      if (out.size() > 1000)
        return invalid(plan.path + ": the grid has more than 1000 points; leave some out, or use kind = \"random\"");
    }
    return out;
  }
  for (std::int64_t t = 0; t < plan.trials; ++t) out.push_back(draw_settings(plan, random));
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
    const bool is_it = !done && current == table && !bare.starts_with('[') &&
                       trimmed(bare.substr(0, bare.find('='))) == name && bare.find('=') != bare.npos;
    out += is_it ? line : text;
    done = done || is_it;
    if (current == table && bare.starts_with('[')) table_end = out.size();
  }
  if (done) return out;
  if (table_end != std::string::npos) return out.insert(table_end, line);
  return out + (out.empty() || out.ends_with('\n') ? "" : "\n") + "[" + table + "]\n" + line;
}

}  // namespace sotto::client
