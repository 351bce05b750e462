#include "evaluation/federated.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace sotto::evaluation {
namespace {

constexpr std::size_t kMostModels = 3, kMostMetrics = 64;
constexpr const char* kFormat = "sotto/site-evaluation/1";
constexpr const char* kIntervals =
    "Student's t of linearised ratios, each site a stratum; Wilson where every unit is right or wrong";

Result<std::string> short_text(const Json& json, const char* name, std::size_t most) {
  SOTTO_TRY(std::string text, json.get_string(name));
  if (text.size() > most)
    return invalid("field '" + std::string(name) + "' has " + std::to_string(text.size()) + " bytes, more than " +
                   std::to_string(most));
  return text;
}

Result<std::string> hash_text(const Json& json, const char* name) {
  SOTTO_TRY(std::string text, json.get_string(name));
  const auto digest = digest_from_hex(text);
  if (!digest.ok() || to_hex(*digest) != text)
    return invalid("field '" + std::string(name) + "' is no SHA-256 in 64 hexadecimal digits");
  return text;
}

Result<std::vector<double>> numbers(const Json& json, const char* name, std::size_t count) {
  SOTTO_TRY(const auto* list, json.get_array(name));
  if (list->size() != count)
    return invalid("'" + std::string(name) + "' has " + std::to_string(list->size()) + " numbers, not " +
                   std::to_string(count));
  std::vector<double> out;
  for (const auto& number : *list) {
    if (!number.is_number() || !std::isfinite(number.as_double()) || std::abs(number.as_double()) > 1e150)
      return invalid("'" + std::string(name) + "' holds something else than a finite number");
    out.push_back(number.as_double());
  }
  return out;
}

// What no units have: negative denominators, products beyond Cauchy and Schwarz.
Result<void> check(const Moments& m) {
  constexpr double kRounding = 1 + 1e-9;
  const double n = static_cast<double>(m.units);
  for (std::size_t i = 0; i < m.sums.size(); ++i) {
    if (i % 2 == 1 && m.sums[i] < 0) return invalid("a denominator is negative");
    if (m.sums[i] * m.sums[i] > n * m.product(i, i) * kRounding) return invalid("the sums do not fit the sums of squares");
    for (std::size_t j = 0; j < i; ++j)
      if (m.product(i, j) * m.product(i, j) > m.product(i, i) * m.product(j, j) * kRounding)
        return invalid("the sums of products do not fit the sums of squares");
  }
  return {};
}

Result<Moments> moments_from_json(const Json& json, const SiteSums& of) {
  const std::size_t n = 2 * of.models.size();
  Moments out{of.units, {}, {}};
  SOTTO_TRY(out.sums, numbers(json, "sums", n));
  SOTTO_TRY(out.products, numbers(json, "products", n * (n + 1) / 2));
  SOTTO_TRY_VOID(check(out));
  return out;
}

Result<void> read_models(const Json& json, SiteSums& out) {
  SOTTO_TRY(const auto* models, json.get_array("models"));
  if (models->empty() || models->size() > kMostModels)
    return invalid("'models' names " + std::to_string(models->size()) + " models, not 1 to 3");
  for (const auto& model : *models) {
    SOTTO_TRY(const std::string name, model.get_string("model"));
    if (name != "base" && name != "tuned" && name != "local")
      return invalid("model '" + name.substr(0, 40) + "' is none of base, tuned and local");
    if (std::ranges::find(out.models, name, &SiteModel::name) != out.models.end())
      return invalid("model '" + name + "' is there twice");
    SOTTO_TRY(std::string weights, name == "base" ? Result<std::string>(std::string()) : hash_text(model, "weights"));
    out.models.push_back({name, std::move(weights)});
  }
  return {};
}

// The metrics of one site or of several: a stratum each.
struct Table {
  const std::vector<SiteModel>* models;
  std::map<std::string, std::vector<Moments>> metrics;
  double confidence;
};

Json models_json(const Table& table) {
  Json::Array out;
  for (std::size_t m = 0; m < table.models->size(); ++m) {
    Json metrics = Json::object();
    for (const auto& [name, strata] : table.metrics) {
      const auto e = estimate(strata, m, table.confidence);
      metrics.set(name, value_json(e.value, e.interval));
      if (name == "loss") metrics.set("perplexity", exp_json(e.value, e.interval));
    }
    const SiteModel& model = (*table.models)[m];
    out.push_back(Json::object({{"model", model.name}, {"weights", model.weights}, {"metrics", std::move(metrics)}}));
  }
  return Json(std::move(out));
}

Json differences_json(const Table& table) {
  struct Row {
    std::size_t from, to;
    std::string metric;
    Paired paired;
  };
  std::vector<Row> rows;
  std::vector<double> p;
  for (std::size_t a = 0; a < table.models->size(); ++a)
    for (std::size_t b = a + 1; b < table.models->size(); ++b)
      for (const auto& [name, strata] : table.metrics) {
        rows.push_back({a, b, name, paired_difference(strata, a, b, table.confidence)});
        p.push_back(rows.back().paired.p);
      }
  const auto adjusted = holm(p);
  Json::Array out;
  Json metrics = Json::object();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    metrics.set(rows[i].metric, difference_json(rows[i].paired, adjusted[i]));
    if (i + 1 < rows.size() && rows[i + 1].from == rows[i].from && rows[i + 1].to == rows[i].to) continue;
    out.push_back(Json::object({{"from", (*table.models)[rows[i].from].name},
                                {"to", (*table.models)[rows[i].to].name},
                                {"metrics", std::move(metrics)}}));
    metrics = Json::object();
  }
  return Json(std::move(out));
}

Json report_of(std::span<const NamedSums> sites, const std::vector<SiteModel>& models) {
  const SiteSums& first = sites.front().sums;
  Table table{&models, {}, first.confidence};
  std::int64_t items = 0;
  std::uint64_t units = 0;
  for (const auto& site : sites) {
    items += site.sums.items;
    units += site.sums.units;
    for (const auto& [name, moments] : site.sums.metrics) table.metrics[name].push_back(moments);
  }
  return Json::object({{"task", first.task},
                       {"domain", first.domain},
                       {"kind", first.kind},
                       {"items", items},
                       {"units", units},
                       {"confidence", first.confidence},
                       {"intervals", kIntervals},
                       {"models", models_json(table)},
                       {"differences", differences_json(table)}});
}

Result<void> fits(const NamedSums& one, const NamedSums& first) {
  const SiteSums &a = one.sums, &b = first.sums;
  const auto differs = [&](const std::string& what) {
    return refused("site '" + one.site + "' evaluated " + what + " than site '" + first.site +
                   "'; figures of different things are not added");
  };
  if (a.task_sha256 != b.task_sha256 || a.task != b.task)
    return differs("another task (task_sha256: the bytes of TASK.toml)");
  if (a.base_sha256 != b.base_sha256) return differs("another base model (base_sha256)");
  if (a.kind != b.kind || a.domain != b.domain || a.confidence != b.confidence)
    return differs("the task with other settings");
  if (!std::ranges::equal(a.models, b.models, {}, &SiteModel::name, &SiteModel::name)) return differs("other models");
  for (std::size_t i = 0; i < a.models.size(); ++i)
    if (a.models[i].name != "local" && a.models[i].weights != b.models[i].weights)
      return differs("another adapter as '" + a.models[i].name + "'");
  if (!std::ranges::equal(
          a.metrics, b.metrics, {}, [](const auto& m) { return m.first; }, [](const auto& m) { return m.first; }))
    return differs("other metrics");
  return {};
}

}  // namespace

Result<SiteSums> site_sums(const Task& task, const std::vector<Outcome>& outcomes) {
  if (task.outside_the_guarantee.empty())
    return unsupported("task '" + task.name +
                       "' does not declare its items outside the guarantee (outside_the_guarantee = \"why\" in TASK.toml). "
                       "Figures of private items leave a site "
                       "only under secure aggregation, with noise and charged to the ledger, and that needs sums of mode "
                       "'joint', which are not in this version");
  SiteSums out;
  out.task = task.name;
  out.domain = task.domain;
  out.kind = to_string(task.kind);
  out.declaration = task.outside_the_guarantee;
  out.confidence = task.resampling.confidence;
  out.items = static_cast<std::int64_t>(task.items.size());
  for (const auto& outcome : outcomes) out.models.push_back({outcome.model, outcome.weights});
  for (const auto& name : metrics_of(outcomes)) {
    std::vector<std::vector<Ratio>> units;
    for (const auto& outcome : outcomes) units.push_back(units_of(task, outcome, name));
    out.metrics[name] = moments_of(units);
    out.units = out.metrics[name].units;
  }
  if (out.units < 2)
    return refused("task '" + task.name + "' has " + std::to_string(out.units) +
                   " unit; an interval needs at least two at each site");
  return out;
}

Json to_json(const SiteSums& sums) {
  Json::Array models;
  for (const auto& model : sums.models) models.push_back(Json::object({{"model", model.name}, {"weights", model.weights}}));
  Json metrics = Json::object();
  for (const auto& [name, m] : sums.metrics)
    metrics.set(name, Json::object({{"sums", Json(Json::Array(m.sums.begin(), m.sums.end()))},
                                    {"products", Json(Json::Array(m.products.begin(), m.products.end()))}}));
  return Json::object({{"format", kFormat},
                       {"task", sums.task},
                       {"domain", sums.domain},
                       {"kind", sums.kind},
                       {"outside_the_guarantee", sums.declaration},
                       {"task_sha256", sums.task_sha256},
                       {"base_sha256", sums.base_sha256},
                       {"confidence", sums.confidence},
                       {"items", sums.items},
                       {"units", sums.units},
                       {"models", Json(std::move(models))},
                       {"metrics", std::move(metrics)}});
}

Result<SiteSums> site_sums_from_json(const Json& json) {
  SiteSums out;
  SOTTO_TRY(const std::string format, json.get_string("format"));
  if (format != kFormat) return invalid("field 'format' is '" + format.substr(0, 40) + "', not '" + kFormat + "'");
  SOTTO_TRY(out.task, short_text(json, "task", 200));
  SOTTO_TRY(out.domain, short_text(json, "domain", 200));
  SOTTO_TRY(out.kind, short_text(json, "kind", 20));
  SOTTO_TRY(out.declaration, short_text(json, "outside_the_guarantee", 500));
  if (out.declaration.size() < 10)
    return invalid("field 'outside_the_guarantee' does not say why the items need no protection");
  SOTTO_TRY(out.task_sha256, hash_text(json, "task_sha256"));
  SOTTO_TRY(out.base_sha256, hash_text(json, "base_sha256"));
  SOTTO_TRY(out.confidence, json.get_double("confidence"));
  if (!(out.confidence > 0.5 && out.confidence < 1)) return invalid("field 'confidence' must be above 0.5 and below 1");
  SOTTO_TRY(out.items, json.get_int("items"));
  SOTTO_TRY(const std::int64_t units, json.get_int("units"));
  if (units < 2 || units > out.items || out.items > 1000000000)
    return invalid("'units' must be from 2 to the number of items, and 'items' at most 1000000000");
  out.units = static_cast<std::uint64_t>(units);
  SOTTO_TRY_VOID(read_models(json, out));
  SOTTO_TRY(const auto* metrics, json.get_object("metrics"));
  if (metrics->empty() || metrics->size() > kMostMetrics)
    return invalid("'metrics' has " + std::to_string(metrics->size()) + " entries, not 1 to 64");
  for (const auto& [name, moments] : *metrics) {
    if (name.empty() || name.size() > 100 || out.metrics.contains(name))
      return invalid("metric '" + name.substr(0, 40) + "' has no usable name, or is there twice");
    auto read = moments_from_json(moments, out);
    if (!read.ok()) return invalid("metric '" + name + "': " + read.error().message);
    out.metrics[name] = std::move(*read);
  }
  return out;
}

Result<Json> pooled_json(std::span<const NamedSums> sites) {
  SOTTO_CHECK(!sites.empty());
  for (const auto& site : sites) SOTTO_TRY_VOID(fits(site, sites.front()));
  auto models = sites.front().sums.models;
  for (std::size_t m = 0; m < models.size(); ++m)
    if (!std::ranges::all_of(sites, [&](const NamedSums& s) { return s.sums.models[m].weights == models[m].weights; }))
      models[m].weights = "each site's own";
  Json out = report_of(sites, models);
  Json::Array parts;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    Json part = report_of(sites.subspan(i, 1), sites[i].sums.models);
    Json named = Json::object({{"site", sites[i].site}, {"outside_the_guarantee", sites[i].sums.declaration}});
    for (const char* member : {"items", "units", "models", "differences"}) named.set(member, part.at(member));
    parts.push_back(std::move(named));
  }
  out.set("base_sha256", sites.front().sums.base_sha256);
  out.set("task_sha256", sites.front().sums.task_sha256);
  out.set("sites", Json(std::move(parts)));
  return out;
}

std::string pooled_text(const Json& report) {
  std::string out = std::to_string(report.at("sites").items().size()) +
                    " sites, on data outside the guarantee; nothing was charged\n" + task_text(report);
  for (const auto& site : report.at("sites").items()) {
    Json one = report;
    for (const char* member : {"items", "units", "models", "differences"}) one.set(member, site.at(member));
    out += "\nsite " + site.at("site").as_string() + "\n" + task_text(one);
  }
  return out;
}

}  // namespace sotto::evaluation
