#include "curation/data_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/files/distinct_files.h"
#include "data/files/line_source.h"
#include "data/text/encoding.h"
#include "data/text/patient_id.h"
#include "data/text/utf8.h"

namespace sotto::curation {
namespace {

constexpr std::size_t kShownErrors = 100;
constexpr std::size_t kShownWorst = 50;
constexpr std::size_t kSampleBytes = 1 << 16;

// What well-known chat templates write around messages.
constexpr const char* kMarkers[] = {"<|im_start|>",        "<|im_end|>",      "[INST]",
                                    "<|start_header_id|>", "<start_of_turn>", "<|user|>",
                                    "<|assistant|>",       "### Instruction", "<|system|>"};

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

Json quantiles(std::vector<std::size_t> values) {
  if (values.empty()) return Json();
  std::ranges::sort(values);
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(std::llround(q * static_cast<double>(values.size() - 1)))];
  };
  return Json::object({{"min", values.front()},
                       {"median", at(0.5)},
                       {"p90", at(0.9)},
                       {"p99", at(0.99)},
                       {"max", values.back()},
                       {"mean", static_cast<double>(std::accumulate(values.begin(), values.end(), std::size_t{0})) /
                                    static_cast<double>(values.size())}});
}

Json counts_json(const std::map<std::string, std::uint64_t>& counts) {
  Json out = Json::object();
  for (const auto& [name, count] : counts) out.set(name, count);
  return out;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// A query as production logs have it.
Result<std::string> query_of(const std::string& line, const std::string& where) {
  if (!line.starts_with("{")) return line;
  SOTTO_TRY(const Json json, Json::parse(line, where));
  if (const Json* text = json.find("text"); text != nullptr && text->is_string()) return text->as_string();
  const Json* messages = json.find("messages");
  if (messages == nullptr || !messages->is_array()) return invalid(where + ": a production query has 'text' or 'messages'");
  std::string out;
  for (const auto& message : messages->items()) {
    SOTTO_TRY(const auto role, message.get_string("role"));
    SOTTO_TRY(const auto content, message.get_string("content"));
    if (role == "user") out += (out.empty() ? "" : "\n") + content;
  }
  return out;
}

// What a file that is not UTF-8 seems to be, from a part of its bytes.
std::string encoding_warning(const std::string& path, const std::string& sample) {
  const std::string name = data::encoding_of(sample);
  return path + ": not UTF-8" + (name.empty() ? "" : "; it looks like " + name) + ". Convert it first: iconv -f " +
         (name.empty() ? "ENCODING" : name) + " -t UTF-8 FILE > NEW";
}

}  // namespace

DataCheck::DataCheck(const CheckConfig& config, data::RecordOptions options, Counter tokens)
    : config_(config),
      options_(std::move(options)),
      counter_(std::move(tokens)),
      duplicates_(config.near),
      topic_counts_(config.topics.size()) {}

Result<void> DataCheck::add_file(const std::string& path, Part part) {
  auto& known = of_part_[part];
  known.push_back(path);
  if (data::distinct_files(known).size() < known.size()) {
    known.pop_back();
    warnings_.push_back(path + ": named more than once, by another path or a link; it counts once");
    return {};
  }
  SOTTO_TRY(auto lines, data::LineSource::open(path, options_.key_file));
  const auto file = static_cast<std::uint32_t>(files_.size());
  files_.push_back(path);
  std::string line, sample;
  while (true) {
    SOTTO_TRY(const bool some, lines.next(line));
    if (!some) break;
    if (blank(line)) continue;
    if (sample.size() < kSampleBytes && (!data::is_utf8(line) || line.find('\0') != std::string::npos))
      sample += line + '\n';
    const auto record = data::parse_record(line, lines.where(), options_);
    if (record.ok())
      add_record(*record, file, lines.number(), part);
    else
      add_broken(record.error(), file, lines.number(), part);
  }
  if (!sample.empty()) warnings_.push_back(encoding_warning(path, sample));
  return {};
}

void DataCheck::add_broken(const Error& error, std::uint32_t file, std::uint64_t line, Part part) {
  ++broken_;
  if (errors_.size() < kShownErrors) errors_.push_back(error.message);
  if (part == Part::kTraining) verdicts_.push_back({file, line, 0, {error.message}, true, std::nullopt});
}

void DataCheck::add_record(const data::Record& record, std::uint32_t file, std::uint64_t line, Part part) {
  const std::string question = question_of(record);
  TokenCounts tokens;
  std::string refusal;
  if (counter_) {
    if (const auto counted = counter_(record); counted.ok()) {
      tokens = *counted;
    } else {
      refusal = counted.error().message;
      ++refused_;
    }
  }
  record_names_.push_back(files_[file] + ":" + std::to_string(line));
  verdict_of_.push_back(verdicts_.size());
  const auto repeat = duplicates_.add(part, record.patient_id, question + "\n" + answer_of(record));
  if (part == Part::kValidation) {
    ++validation_;
    return;
  }
  ++training_;
  ++patients_[record.patient_id];
  const bool trains = refusal.empty() && (config_.max_tokens == 0 || tokens.before < config_.max_tokens);
  if (trains) ++training_something_[record.patient_id];
  idle_ += trains ? 0 : 1;
  if (counter_ && refusal.empty()) {
    question_tokens_.push_back(tokens.question);
    answer_tokens_.push_back(tokens.answer);
  }
  const Notes notes = check_record(record, tokens.question + tokens.answer, config_);
  for (const auto& name : notes.names()) ++flaws_[name];
  ++languages_[notes.language.empty() ? "not known" : notes.language];
  damaged_ +=
      notes.has(Flaw::kReplacementCharacters) || notes.has(Flaw::kMojibake) || notes.has(Flaw::kControlCharacters) ? 1 : 0;
  high_stakes_ += config_.stakes.found_in(question) ? 1 : 0;
  std::string topic;
  for (std::size_t i = 0; i < config_.topics.size(); ++i) {
    if (!config_.topics[i].phrases.found_in(question)) continue;
    ++topic_counts_[i];
    if (topic.empty()) topic = config_.topics[i].name;
  }
  diversity_.add(record, topic);
  questions_.add(question);

  Verdict verdict{file, line, notes.score, notes.names(), false, std::nullopt};
  if (!refusal.empty()) verdict.why.push_back("the chat template refuses it: " + refusal);
  if (repeat) {
    verdict.repeats = verdict_of_[repeat->of];
    const std::string how = repeat->similarity == 1.0 ? "the same as " : "nearly the same as ";
    verdict.why.push_back(how + record_names_[repeat->of] + ", of the same patient");
  }
  verdicts_.push_back(std::move(verdict));
}

Result<void> DataCheck::add_production(const std::string& path, const std::string& training_template) {
  SOTTO_TRY(auto lines, data::LineSource::open(path, options_.key_file));
  std::string line;
  std::vector<std::string> served;
  while (true) {
    SOTTO_TRY(const bool some, lines.next(line));
    if (!some) break;
    if (blank(line)) continue;
    SOTTO_TRY(const auto query, query_of(line, lines.where()));
    production_.add(query);
    for (const char* marker : kMarkers)
      if (query.find(marker) != std::string::npos && std::ranges::find(served, marker) == served.end())
        served.emplace_back(marker);
  }
  if (production_.texts() == 0) return invalid(path + ": no queries in it");
  for (const auto& marker : served)
    if (training_template.find(marker) == std::string::npos)
      warnings_.push_back("production queries were rendered with a template that writes '" + marker +
                          "'; the one that training uses does not");
  return {};
}

Json DataCheck::lengths() const {
  return Json::object({{"question_tokens", quantiles(question_tokens_)},
                       {"answer_tokens", quantiles(answer_tokens_)},
                       {"refused_by_template", refused_}});
}

Json DataCheck::trains_nothing() const {
  if (!counter_) return {};
  return Json::object({{"records", idle_}, {"patients", patients_.size() - training_something_.size()}});
}

// Ids that a person would read as one.
Json DataCheck::alike() const {
  std::map<std::string, std::vector<std::string>> groups;
  for (const auto& [patient, records] : patients_) groups[data::loose_patient_id(patient)].push_back(patient);
  Json out = Json::array();
  for (const auto& [loose, ids] : groups) {
    if (ids.size() < 2) continue;
    Json group = Json::array();
    for (const auto& id : ids) group.push(id);
    out.push(std::move(group));
  }
  return out;
}

Json DataCheck::duplicates(const Duplicates::Counts& counts) const {
  Json leaked = Json::array();
  for (std::size_t i = 0; i < std::min(counts.leaked.size(), kShownErrors); ++i)
    leaked.push(record_names_[counts.leaked[i]]);
  return Json::object(
      {{"within_patients", Json::object({{"exact", counts.exact_within}, {"near", counts.near_within}})},
       {"across_patients", Json::object({{"exact", counts.exact_across}, {"near_pairs", counts.near_across}})},
       {"validation", Json::object({{"patients_in_both", counts.leaked_patients},
                                    {"exact", counts.leaked_exact},
                                    {"near", counts.leaked_near},
                                    {"records", std::move(leaked)}})}});
}

Json DataCheck::coverage() const {
  Json topics = Json::array();
  Json missing = Json::array();
  std::map<std::string, std::uint64_t> situations;
  for (std::size_t i = 0; i < config_.topics.size(); ++i) {
    const Topic& topic = config_.topics[i];
    situations[topic.situation] += topic_counts_[i];
    topics.push(Json::object(
        {{"name", topic.name}, {"situation", topic.situation}, {"records", topic_counts_[i]}, {"wanted", topic.at_least}}));
    if (topic_counts_[i] < topic.at_least) missing.push(topic.name);
  }
  return Json::object(
      {{"topics", std::move(topics)}, {"situations", counts_json(situations)}, {"missing", std::move(missing)}});
}

Json DataCheck::worst() const {
  std::vector<const Verdict*> all;
  for (const auto& verdict : verdicts_)
    if (!verdict.why.empty()) all.push_back(&verdict);
  const auto count = std::min(all.size(), kShownWorst);
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(count), {},
                            [](const Verdict* v) { return std::tuple(v->score, v->file, v->line); });
  Json out = Json::array();
  for (std::size_t i = 0; i < count; ++i) {
    Json why = Json::array();
    for (const auto& reason : all[i]->why) why.push(reason);
    out.push(Json::object({{"where", files_[all[i]->file] + ":" + std::to_string(all[i]->line)},
                           {"score", all[i]->score},
                           {"why", std::move(why)}}));
  }
  return out;
}

Json DataCheck::limits(const Duplicates::Counts& counts) const {
  Json out = Json::array();
  const auto add = [&](const char* name, double value, double limit) {
    out.push(Json::object({{"name", name}, {"value", value}, {"limit", limit}, {"ok", value <= limit}}));
  };
  const auto of = [&](const char* name) { return flaws_.contains(name) ? flaws_.at(name) : 0; };
  std::uint64_t uncovered = 0;
  for (std::size_t i = 0; i < config_.topics.size(); ++i) uncovered += topic_counts_[i] < config_.topics[i].at_least ? 1 : 0;
  const Limits& l = config_.limits;
  if (broken_ + training_ + validation_ == 0) add("no_record", 1, 0);
  add("broken", share(broken_, broken_ + training_ + validation_), l.broken);
  add("duplicates", share(counts.exact_within + counts.near_within, training_), l.duplicates);
  add("leaks", counts.leaked_patients > 0 ? 1.0 : share(counts.leaked_exact + counts.leaked_near, validation_), l.leaks);
  add("damaged", share(damaged_, training_), l.damaged);
  add("no_caution", share(of(name_of(Flaw::kNoCaution)), high_stakes_), l.no_caution);
  add("other_language", share(of(name_of(Flaw::kOtherLanguage)), training_), l.other_language);
  add("uncovered", share(uncovered, config_.topics.size()), l.uncovered);
  return out;
}

Json DataCheck::report() const {
  const auto counts = duplicates_.counts();
  Json errors = Json::array();
  for (const auto& error : errors_) errors.push(error);
  Json warnings = Json::array();
  for (const auto& warning : warnings_) warnings.push(warning);
  const Json same = alike(), idle = trains_nothing();
  if (!same.items().empty())
    warnings.push(std::to_string(same.items().size()) + " patients are spelled in more than one way (" +
                  same.at(std::size_t{0}).dump() +
                  "): if each is one person, one person has several budgets and may stand on "
                  "both sides of a split; give one id");
  if (!idle.is_null() && idle.at("records").as_int() > 0)
    warnings.push(std::to_string(idle.at("records").as_int()) + " records and " +
                  std::to_string(idle.at("patients").as_int()) +
                  " whole patients would train nothing: their answers begin behind lengths.max_tokens = " +
                  std::to_string(config_.max_tokens) + ", or the chat template refuses them");
  Json files = Json::array();
  for (const auto& file : files_) files.push(file);
  std::vector<std::size_t> per_patient;
  for (const auto& [patient, records] : patients_) per_patient.push_back(records);
  const Json checked = limits(counts);
  const bool ok = std::ranges::all_of(checked.items(), [](const Json& limit) { return limit.at("ok").as_bool(); });
  Json production;
  if (production_.texts() > 0)
    production = Json::object({{"queries", production_.texts()},
                               {"divergence_bits", questions_.divergence(production_)},
                               {"median_words", production_.median_words()},
                               {"training_median_words", questions_.median_words()}});
  return Json::object({{"ok", ok},
                       {"files", std::move(files)},
                       {"records", training_},
                       {"validation_records", validation_},
                       {"patients", patients_.size()},
                       {"records_per_patient", quantiles(per_patient)},
                       {"patients_spelled_alike", same},
                       {"trains_nothing", idle},
                       {"broken", Json::object({{"lines", broken_}, {"first", std::move(errors)}})},
                       {"lengths", lengths()},
                       {"duplicates", duplicates(counts)},
                       {"flaws", counts_json(flaws_)},
                       {"languages", counts_json(languages_)},
                       {"high_stakes", high_stakes_},
                       {"diversity", diversity_.json()},
                       {"coverage", coverage()},
                       {"production", std::move(production)},
                       {"warnings", std::move(warnings)},
                       {"limits", checked},
                       {"worst", worst()}});
}

}  // namespace sotto::curation
