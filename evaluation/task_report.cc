#include "evaluation/task_report.h"

#include <cmath>
#include <cstdio>

namespace sotto::evaluation {
namespace {

Json metrics_json(const Task& task, const Outcome& outcome) {
  Json out = Json::object();
  for (const auto& name : metrics_of({outcome})) {
    const auto units = units_of(task, outcome, name);
    const auto interval = interval_of(units, task.resampling);
    const double value = sum(units).value();
    out.set(name, value_json(value, interval));
    if (name == "loss") out.set("perplexity", exp_json(value, interval));
  }
  return out;
}

Json head(const Task& task) {
  std::vector<std::string> keys;
  for (const auto& item : task.items) keys.push_back(item.unit);
  const auto units = by_unit(std::vector<Ratio>(keys.size()), keys).size();
  return Json::object({{"task", task.name},
                       {"domain", task.domain},
                       {"kind", to_string(task.kind)},
                       {"items", task.items.size()},
                       {"units", units},
                       {"confidence", task.resampling.confidence},
                       {"resamples", task.resampling.resamples},
                       {"seed", task.resampling.seed}});
}

struct Row {
  const Outcome* from;
  const Outcome* to;
  std::string metric;
  Paired paired;
};

std::vector<Row> paired_rows(const Task& task, const std::vector<Outcome>& outcomes) {
  std::vector<Row> rows;
  for (std::size_t a = 0; a < outcomes.size(); ++a)
    for (std::size_t b = a + 1; b < outcomes.size(); ++b)
      for (const auto& metric : metrics_of({outcomes[a], outcomes[b]}))
        rows.push_back({&outcomes[a], &outcomes[b], metric,
                        compare(units_of(task, outcomes[a], metric), units_of(task, outcomes[b], metric), task.resampling)});
  return rows;
}

Json differences_json(const Task& task, const std::vector<Outcome>& outcomes) {
  const auto rows = paired_rows(task, outcomes);
  std::vector<double> p;
  for (const auto& row : rows) p.push_back(row.paired.p);
  const auto adjusted = holm(p);
  Json::Array out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    if (i == 0 || rows[i - 1].from != row.from || rows[i - 1].to != row.to)
      out.push_back(Json::object({{"from", row.from->model}, {"to", row.to->model}, {"metrics", Json::object()}}));
    Json metrics = out.back().at("metrics");
    metrics.set(row.metric, difference_json(row.paired, adjusted[i]));
    out.back().set("metrics", std::move(metrics));
  }
  return Json(std::move(out));
}

std::string line(const char* format, auto... values) {
  char text[320];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string metric_lines(const Json& metrics) {
  std::string out;
  for (const auto& [name, m] : metrics.members())
    out += line("  %-24s %9.4f   [%.4f, %.4f]\n", name.c_str(), m.at("value").as_double(), m.at("low").as_double(),
                m.at("high").as_double());
  return out;
}

}  // namespace

const char* to_string(TaskKind kind) {
  switch (kind) {
    case TaskKind::kChoice: return "choice";
    case TaskKind::kGenerate: return "generate";
    case TaskKind::kLoss: return "loss";
  }
  SOTTO_CHECK(false);
}

std::set<std::string> metrics_of(const std::vector<Outcome>& outcomes) {
  std::set<std::string> out;
  for (const auto& outcome : outcomes)
    for (const auto& record : outcome.records)
      for (const auto& [name, ratio] : record) out.insert(name);
  return out;
}

std::vector<Ratio> units_of(const Task& task, const Outcome& outcome, const std::string& metric) {
  std::vector<Ratio> records;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < outcome.records.size(); ++i) {
    const auto at = outcome.records[i].find(metric);
    records.push_back(at == outcome.records[i].end() ? Ratio{} : at->second);
    keys.push_back(task.items[i].unit);
  }
  return by_unit(records, keys);
}

Json value_json(double value, const Interval& interval) {
  return Json::object({{"value", value}, {"low", interval.low}, {"high", interval.high}});
}

Json exp_json(double value, const Interval& interval) {
  return value_json(std::exp(value), {std::exp(interval.low), std::exp(interval.high)});
}

Json difference_json(const Paired& paired, double p_holm) {
  return Json::object({{"difference", paired.difference},
                       {"low", paired.interval.low},
                       {"high", paired.interval.high},
                       {"p", paired.p},
                       {"p_holm", p_holm}});
}

Json one_model_json(const Task& task, const Outcome& outcome) {
  Json out = head(task);
  out.set("model", outcome.model);
  out.set("weights", outcome.weights);
  out.set("metrics", metrics_json(task, outcome));
  return out;
}

Json task_json(const Task& task, const std::vector<Outcome>& outcomes) {
  Json out = head(task);
  Json::Array models;
  for (const auto& outcome : outcomes)
    models.push_back(
        Json::object({{"model", outcome.model}, {"weights", outcome.weights}, {"metrics", metrics_json(task, outcome)}}));
  out.set("models", std::move(models));
  out.set("differences", differences_json(task, outcomes));
  return out;
}

std::string task_text(const Json& report) {
  const double percent = 100 * report.at("confidence").as_double();
  const Json* intervals = report.find("intervals");
  std::string out =
      report.at("task").as_string() + " (" + report.at("domain").as_string() + ")" +
      line(": %lld items of %lld units; intervals: %g %% ", static_cast<long long>(report.at("items").as_int()),
           static_cast<long long>(report.at("units").as_int()), percent) +
      (intervals ? intervals->as_string() : "bootstrap over units") + "\n";
  if (report.find("metrics")) return out + report.at("model").as_string() + "\n" + metric_lines(report.at("metrics"));
  for (const auto& model : report.at("models").items())
    out += model.at("model").as_string() + "\n" + metric_lines(model.at("metrics"));
  for (const auto& pair : report.at("differences").items()) {
    out += pair.at("to").as_string() + " minus " + pair.at("from").as_string() + "\n";
    for (const auto& [name, d] : pair.at("metrics").members())
      out += line("  %-24s %+9.4f   [%+.4f, %+.4f]   p %.4f   p (Holm) %.4f\n", name.c_str(), d.at("difference").as_double(),
                  d.at("low").as_double(), d.at("high").as_double(), d.at("p").as_double(), d.at("p_holm").as_double());
  }
  return out;
}

}  // namespace sotto::evaluation
