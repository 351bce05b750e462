#include "evaluation/task.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/config_reader.h"
#include "base/files.h"
#include "evaluation/overlap.h"
#include "evaluation/task_items.h"

namespace sotto::evaluation {
namespace {

const std::set<std::string> kMetrics{"exact_match", "literal_match", "token_f1", "rouge_l", "codes",  "terms",
                                     "citations",   "concepts",      "spans",    "facts",   "safety", "code_runs"};

std::string list(const std::set<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::vector<Term> read_term_list(ConfigReader& in, const char* key) {
  std::vector<Term> out;
  for (const auto& forms : in.texts(key, std::vector<std::string>{})) {
    auto term = Term::make(forms);
    if (term.ok()) {
      out.push_back(std::move(*term));
    } else {
      in.reject(key, "'" + forms + "': " + term.error().message);
    }
  }
  return out;
}

std::vector<SafetyRule> read_safety(ConfigReader& in) {
  std::vector<SafetyRule> out;
  for (auto& table : in.tables("safety")) {
    SafetyRule rule;
    rule.name = table.text("name");
    const auto kind = safety_kind(table.text("kind"));
    if (kind.ok())
      rule.kind = *kind;
    else
      table.reject("kind", kind.error().message);
    rule.phrases = read_term_list(table, "phrases");
    if (rule.phrases.empty()) table.reject("phrases", "must name at least one phrase");
    if (std::ranges::find(out, rule.name, &SafetyRule::name) != out.end())
      table.reject("name", "'" + rule.name + "' is there twice");
    out.push_back(std::move(rule));
  }
  return out;
}

void read_resampling(ConfigReader& in, Resampling& out) {
  const auto resamples = in.integer("statistics.resamples", 2000);
  out.confidence = in.number("statistics.confidence", 0.95);
  out.seed = static_cast<std::uint64_t>(in.integer("statistics.seed", 1));
  if (resamples < 100 || resamples > 1000000)
    in.reject("statistics.resamples", "must be from 100 to 1000000");
  else
    out.resamples = static_cast<std::uint32_t>(resamples);
  if (!(out.confidence > 0.5 && out.confidence < 1)) in.reject("statistics.confidence", "must be above 0.5 and below 1");
}

TaskKind read_kind(ConfigReader& in) {
  const std::string name = in.text("kind");
  if (name == "choice") return TaskKind::kChoice;
  if (name == "loss") return TaskKind::kLoss;
  if (name != "generate") in.reject("kind", "must be choice, generate or loss");
  return TaskKind::kGenerate;
}

Result<void> read_metrics(ConfigReader& in, Task& task) {
  for (const auto& name : in.texts("metrics", std::vector<std::string>{})) {
    if (!kMetrics.contains(name)) in.reject("metrics", "'" + name + "' is no metric; there are " + list(kMetrics));
    task.metrics.insert(name);
  }
  if (task.kind == TaskKind::kGenerate && task.metrics.empty())
    in.reject("metrics", "must name at least one of " + list(kMetrics));
  if (task.kind != TaskKind::kGenerate && !task.metrics.empty())
    in.reject("metrics", "belongs to tasks of kind generate; choice and loss bring their own");
  return {};
}

void read_format(ConfigReader& in, Task& task) {
  const std::string name = in.text("format", task.kind == TaskKind::kGenerate ? "chat" : "plain");
  if (name != "plain" && name != "chat") in.reject("format", "must be plain or chat");
  task.format = name == "chat" ? PromptFormat::kChat : PromptFormat::kPlain;
  task.system = in.text("system", "");
  if (!task.system.empty() && task.format == PromptFormat::kPlain) in.reject("system", "belongs to format \"chat\"");
  task.delimiter = in.text("delimiter", task.format == PromptFormat::kPlain ? " " : "");
  const auto max_tokens = in.integer("max_tokens", 128);
  if (max_tokens < 1 || max_tokens > 8192) in.reject("max_tokens", "must be from 1 to 8192");
  task.max_tokens = static_cast<std::uint32_t>(std::clamp<std::int64_t>(max_tokens, 1, 8192));
  task.stop = in.texts("stop", std::vector<std::string>{});
  if (std::ranges::find(task.stop, "") != task.stop.end()) in.reject("stop", "has an empty text");
}

Result<std::vector<Item>> read_items(const std::string& path, const ItemFormat& format) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  std::vector<Item> out;
  std::set<std::string> ids;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string where = path + ":" + std::to_string(number);
    const auto json = Json::parse(line, where);
    if (!json.ok()) return invalid(where + ": not valid JSON; each line must be one JSON object");
    auto item = read_item(*json, format);
    if (!item.ok()) return invalid(where + ": " + item.error().message);
    if (item->id.empty()) item->id = std::to_string(number);
    if (!ids.insert(item->id).second) return invalid(where + ": id '" + item->id.substr(0, 60) + "' is there twice");
    out.push_back(std::move(*item));
  }
  if (out.empty()) return invalid("'" + path + "' holds no item; give one JSON object a line");
  return out;
}

double best(const Item& item, std::string_view response, double (*metric)(std::string_view, std::string_view)) {
  double most = 0;
  for (const auto& reference : item.references) most = std::max(most, metric(reference, response));
  return most;
}

// The codes of the reference that the response meets best; of equal ones the first.
void add_best_codes(Measures& out, const Item& item, std::string_view response) {
  Measures best_of;
  for (const auto& reference : item.references) {
    Measures m;
    add_codes(m, reference, response);
    const auto rank = [](const Measures& x) { return std::pair(x.at("code_exact").value(), x.at("code_f1").value()); };
    if (best_of.empty() || rank(m) > rank(best_of)) best_of = std::move(m);
  }
  for (const auto& [name, ratio] : best_of) out[name] += ratio;
}

void add_mentions(Measures& out, const Task& task, const Item& item, std::string_view response) {
  const auto found = mentions_in(response);
  out["well_formed"] = Ratio::of(found.ok());
  const auto mentions = found.ok() ? *found : std::vector<Mention>{};
  if (task.metrics.contains("concepts")) add_concepts(out, item.mentions, mentions);
  if (task.metrics.contains("spans")) add_spans(out, item.mentions, mentions);
}

}  // namespace

Result<Task> read_task(const std::string& path) {
  SOTTO_TRY(auto in, ConfigReader::read_file(path));
  Task task;
  task.name = in.text("name");
  task.domain = in.text("domain");
  task.description = in.text("description", "");
  task.kind = read_kind(in);
  const auto data = std::filesystem::path(in.text("data"));
  read_format(in, task);
  SOTTO_TRY_VOID(read_metrics(in, task));
  task.facts_in_order = in.boolean("facts_in_order", false);
  task.outside_the_guarantee = in.text("outside_the_guarantee", "");
  if (in.has("outside_the_guarantee") && (task.outside_the_guarantee.size() < 10 || task.outside_the_guarantee.size() > 500))
    in.reject(
        "outside_the_guarantee",
        "must say in a sentence of 10 to 500 characters why the items are nobody's: what is told of them travels with it");
  read_resampling(in, task.resampling);
  ItemFormat format{&task, in.text("prompt"), read_term_list(in, "preferred_terms"), read_term_list(in, "avoid_terms"),
                    read_safety(in)};
  if (task.metrics.contains("safety") && format.rules.empty())
    in.reject("metrics", "has 'safety', but there is no [[safety]] rule");
  SOTTO_TRY_VOID(in.finish());
  const auto file = data.is_absolute() ? data : std::filesystem::path(path).parent_path() / data;
  SOTTO_TRY(task.items, read_items(file.string(), format));
  return task;
}

Measures score_response(const Task& task, const Item& item, std::string_view response) {
  Measures out;
  const auto has = [&](const char* name) { return task.metrics.contains(name); };
  if (has("exact_match"))
    out["exact_match"] =
        Ratio::of(std::ranges::any_of(item.references, [&](const auto& r) { return exact_match(r, response); }));
  if (has("literal_match"))
    out["literal_match"] =
        Ratio::of(std::ranges::any_of(item.references, [&](const auto& r) { return literal_match(r, response); }));
  if (has("token_f1")) out["token_f1"] = Ratio::of(best(item, response, token_f1));
  if (has("rouge_l")) out["rouge_l"] = Ratio::of(best(item, response, rouge_l));
  if (has("codes")) add_best_codes(out, item, response);
  if (has("terms")) add_terms(out, item.terms, item.avoid, response);
  if (has("citations")) add_citations(out, item.citations, response);
  if (has("concepts") || has("spans")) add_mentions(out, task, item, response);
  if (has("facts")) add_facts(out, item.facts, task.facts_in_order, response);
  if (has("safety")) add_safety(out, item.rules, response);
  return out;
}

Measures score_choice(const Item& item, std::span<const double> logprobs) {
  SOTTO_CHECK(logprobs.size() == item.choices.size());
  std::vector<ChoiceLikelihood> choices;
  for (std::size_t i = 0; i < logprobs.size(); ++i) choices.push_back({logprobs[i], characters_in(item.choices[i])});
  return {{"acc", Ratio::of(likeliest(choices) == item.answer)},
          {"acc_norm", Ratio::of(likeliest_per_character(choices) == item.answer)}};
}

std::string_view before_stop(const Task& task, std::string_view response) {
  for (const auto& stop : task.stop) response = response.substr(0, response.find(stop));
  return response;
}

}  // namespace sotto::evaluation
