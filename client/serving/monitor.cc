#include "client/serving/monitor.h"

#include <iostream>

#include "curation/feedback.h"
#include "curation/usage_drift.h"

namespace sotto::client {
namespace {

// What the training's users asked: the last user message of each record.
Result<std::vector<std::string>> questions_of(const std::string& path, const std::string& key) {
  std::vector<std::string> out;
  if (path.empty()) return out;
  SOTTO_TRY(const auto records, data::read_records(path, {"", key}));
  for (const auto& record : records)
    for (auto m = record.messages.rbegin(); m != record.messages.rend(); ++m)
      if (m->role == "user") {
        out.push_back(m->content);
        break;
      }
  if (out.empty()) return invalid("'" + path + "' holds no question to compare with");
  return out;
}

Result<void> tell(const curation::FeedbackCount& count, const MonitorCommand& command, const char* taken, const char* left) {
  if (command.json)
    std::cout << Json::object({{"taken", count.taken}, {"left_out", count.left_out}, {"out", command.out}}).dump() << '\n';
  else
    std::cout << count.taken << taken << command.out << "; " << count.left_out << left << '\n';
  return {};
}

}  // namespace

Result<void> monitor(const MonitorCommand& command) {
  if (command.window < 10 || command.window > 1000000)
    return invalid("--window is " + std::to_string(command.window) + "; it must be from 10 to 1000000 queries");
  if (!(command.confidence >= 0.9 && command.confidence < 1))
    return invalid("--confidence is " + Json(command.confidence).dump() + "; it must be at least 0.9 and below 1");
  SOTTO_TRY(const auto uses, curation::read_usage(command.log, command.data_key));
  SOTTO_TRY(const auto baseline, questions_of(command.baseline, command.data_key));
  SOTTO_TRY(const Json report,
            curation::usage_report(uses, baseline, {static_cast<std::size_t>(command.window), command.confidence}));
  std::cout << (command.json ? report.dump() + "\n" : curation::usage_text(report));
  if (report.at("retrain").as_bool()) return refused(report.at("signals").at(0).as_string());
  return {};
}

void add_monitor_commands(Command& root, MonitorCommand& c) {
  root.group("In use");
  root.subcommand("monitor",
                  "a model in use: its marks over time, and how far the questions have moved from the training data")
      .option("log", c.log, "queries and answers, JSON lines (docs/operating.md)", true)
      .option("--baseline", c.baseline, "the records that it was trained on; default: the first window stands for them")
      .option("--window", c.window, "queries that are looked at together")
      .option("--confidence", c.confidence, "of each comparison")
      .option("--data-key", c.data_key, "the key's file, for sealed files")
      .json(c.json)
      .example("queries.jsonl --baseline train.jsonl")
      .on_run([&c] { return monitor(c); });
  Command& feedback = root.subcommand("feedback", "corrections and ratings on their way to training records");
  feedback.example("collect queries.jsonl --out candidates.jsonl");
  feedback.subcommand("collect", "what could be trained on, for a person to look at")
      .option("log", c.log, "queries and answers, JSON lines", true)
      .option("--out", c.out, "the candidates: set \"approved\" in each line", true)
      .json(c.json)
      .example("queries.jsonl --out candidates.jsonl")
      .on_run([&c]() -> Result<void> {
        SOTTO_TRY(const auto uses, curation::read_usage(c.log));
        SOTTO_TRY(const auto count, curation::collect_feedback(uses, c.out));
        return tell(count, c, " candidates in ", " left out: they name no patient whose budget they would be charged to");
      });
  feedback.subcommand("accept", "the approved candidates as training records")
      .option("candidates", c.log, "what 'feedback collect' wrote and a person looked at", true)
      .option("--out", c.out, "the records", true)
      .option("--by", c.by, "who looked at them", true)
      .json(c.json)
      .example("candidates.jsonl --out records.jsonl --by \"A. Khan\"")
      .on_run([&c]() -> Result<void> {
        SOTTO_TRY(const auto count, curation::accept_feedback(c.log, c.out, c.by));
        return tell(count, c, " records in ", " not approved");
      });
}

}  // namespace sotto::client
