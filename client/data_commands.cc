#include "client/data_commands.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "client/text/text_model.h"
#include "crypto/key_file.h"
#include "crypto/system_random.h"
#include "curation/check_page.h"
#include "curation/data_check.h"
#include "curation/pii/minimisation.h"
#include "curation/record_selection.h"
#include "curation/splitting.h"
#include "data/files/line_source.h"
#include "data/files/sealed_file.h"

namespace sotto::client {
namespace {

// The key of a file, which is made when it is not there.
template <class Key>
Result<Key> key_of(const std::string& path) {
  if (!file_exists(path)) {
    crypto::SystemRandom random;
    SOTTO_TRY_VOID(crypto::write_new_key<Key>(path, random));
  }
  return crypto::read_key<Key>(path);
}

// A check of training and validation files, and what it points at.
struct Checked {
  curation::CheckConfig config;
  std::optional<TextModel> text;
  std::optional<data::ChatTemplate> chat;
  std::optional<curation::DataCheck> check;
};

// Counts a record's tokens as training would: the answer's are the learnt ones.
curation::DataCheck::Counter token_counter(const data::ChatTemplate& chat) {
  return [&chat](const data::Record& record) -> Result<curation::TokenCounts> {
    SOTTO_TRY(const auto example, chat.example(record.messages));
    const std::size_t answer = example.response_tokens();
    const auto first = std::ranges::find_if(example.labels, [](std::int32_t label) { return label != data::kNoLabel; });
    return curation::TokenCounts{example.ids.size() - answer, answer,
                                 static_cast<std::size_t>(first - example.labels.begin())};
  };
}

// What training's template writes around messages, for the comparison with what production was served with.
Result<std::string> template_of(const Checked& checked) {
  if (!checked.chat) return std::string();
  const std::vector<data::ChatMessage> probe = {{"user", "-"}, {"assistant", "-"}};
  return checked.chat->render(probe, data::GenerationPrompt::kYes);
}

Result<std::unique_ptr<Checked>> check_files(const DataCommand& command) {
  auto out = std::make_unique<Checked>();
  if (!command.config.empty()) {
    SOTTO_TRY(out->config, curation::read_check_config(command.config));
  }
  if (!command.model.empty()) {
    SOTTO_TRY(out->text, TextModel::load(command.model));
    SOTTO_TRY(out->chat, out->text->chat(command.chat_template));
  }
  out->check.emplace(out->config, data::RecordOptions{command.system_prompt, command.data_key},
                     out->chat ? token_counter(*out->chat) : curation::DataCheck::Counter());
  for (const auto& file : command.files) SOTTO_TRY_VOID(out->check->add_file(file, curation::Part::kTraining));
  if (!command.validation.empty()) SOTTO_TRY_VOID(out->check->add_file(command.validation, curation::Part::kValidation));
  if (!command.production.empty()) {
    SOTTO_TRY(const auto rendered, template_of(*out));
    SOTTO_TRY_VOID(out->check->add_production(command.production, rendered));
  }
  return out;
}

void print(const Json& report) {
  std::cout << report.at("records").as_int() << " records of " << report.at("patients").as_int() << " patients, "
            << report.at("broken").at("lines").as_int() << " broken lines\n";
  for (const auto& limit : report.at("limits").items())
    std::cout << (limit.at("ok").as_bool() ? "  ok      " : "  FAILED  ") << limit.at("name").as_string() << ": "
              << limit.at("value").as_double() << ", limit " << limit.at("limit").as_double() << '\n';
  for (const auto& warning : report.at("warnings").items()) std::cout << "  warning: " << warning.as_string() << '\n';
  for (const auto& error : report.at("broken").at("first").items()) std::cout << "  " << error.as_string() << '\n';
  std::size_t shown = 0;
  for (const auto& record : report.at("worst").items()) {
    if (++shown > 10) break;
    std::cout << "  score " << record.at("score").as_double() << "  " << record.at("where").as_string();
    for (const auto& why : record.at("why").items()) std::cout << "; " << why.as_string();
    std::cout << '\n';
  }
}

}  // namespace

Result<void> data_check(const DataCommand& command) {
  SOTTO_TRY(const auto checked, check_files(command));
  const Json report = checked->check->report();
  if (!command.html.empty())
    SOTTO_TRY_VOID(write_file_atomically(command.html, curation::check_page(report), FileMode::kPrivate));
  if (command.json)
    std::cout << report.dump() << '\n';
  else
    print(report);
  if (!report.at("ok").as_bool()) return refused("the data passes a limit; see the report");
  return {};
}

Result<void> data_select(const DataCommand& command) {
  if (!(command.min_score >= 0 && command.min_score <= 1))
    return invalid("--min-score is " + std::to_string(command.min_score) + "; it must be from 0 to 1");
  SOTTO_TRY(const auto checked, check_files(command));
  SOTTO_TRY(const auto done,
            curation::select(*checked->check, {command.min_score, command.keep_repeats}, command.out, command.reasons));
  if (command.json)
    std::cout << Json::object({{"kept", done.kept}, {"dropped", done.dropped}}).dump() << '\n';
  else
    std::cout << done.kept << " records kept in " << command.out << ", " << done.dropped
              << " left out; why: " << command.reasons << '\n';
  return {};
}

Result<void> data_minimise(const DataCommand& command) {
  if (command.preview == !command.out.empty()) return invalid("data minimise wants either --preview or --out FILE");
  curation::PiiConfig config;
  if (!command.config.empty()) {
    SOTTO_TRY(config, curation::read_pii_config(command.config));
  }
  SOTTO_TRY(auto finder, curation::PiiFinder::make(config));
  SOTTO_TRY(auto key, key_of<curation::MinimiserKey>(command.key));
  curation::Minimiser minimiser(std::move(finder), std::move(key));
  if (!config.detector.empty()) {
    SOTTO_TRY(auto detector, curation::OutsideDetector::start(config.detector));
    minimiser.add(std::move(detector));
  }
  const auto done = command.preview ? curation::preview_files(minimiser, command.files, command.data_key, std::cout)
                                    : curation::minimise_files(minimiser, command.files, command.data_key, command.out);
  if (!done.ok()) return done.error();
  Json counts = Json::object();
  for (std::size_t i = 0; i < curation::kPiiKinds; ++i)
    counts.set(curation::name_of(static_cast<curation::PiiKind>(i)), done->counts[i]);
  Json kept = Json::array();
  for (const auto& field : done->kept) kept.push(field);
  log(Level::kInfo, "minimised", {{"records", done->records}, {"changed", done->changed}});
  (command.preview ? std::cerr : std::cout)
      << Json::object(
             {{"records", done->records}, {"changed", done->changed}, {"replaced", counts}, {"fields_left_alone", kept}})
             .dump(command.json ? -1 : 2)
      << '\n';
  return {};
}

// Line by line from whatever the file is (gzip, zstd), so that no plain copy is made on the way.
Result<void> data_seal(const DataCommand& command) {
  if (command.files.size() != 1) return invalid("data seal takes one file");
  SOTTO_TRY(const auto key, key_of<data::DataKey>(command.data_key));
  crypto::SystemRandom random;
  SOTTO_TRY(auto lines, data::LineSource::open(command.files.front(), command.data_key));
  SOTTO_TRY(auto writer, data::SealedWriter::create(command.out, key, random));
  std::string line;
  std::uint64_t count = 0;
  while (true) {
    SOTTO_TRY(const bool some, lines.next(line));
    if (!some) break;
    SOTTO_TRY_VOID(writer.write(line + '\n'));
    ++count;
  }
  SOTTO_TRY_VOID(writer.finish());
  if (command.json)
    std::cout << Json::object({{"lines", count}}).dump() << '\n';
  else
    std::cout << count << " lines sealed in " << command.out << "; keep " << command.data_key
              << " apart from it, and remove the plain file\n";
  return {};
}

Result<void> data_split(const DataCommand& command) {
  if (!(command.fraction >= 0 && command.fraction < 1))
    return invalid("--fraction is " + std::to_string(command.fraction) + "; it must be at least 0 and below 1");
  SOTTO_TRY(auto key, key_of<data::HoldOutKey>(command.key));
  SOTTO_TRY(const auto done, curation::split_files(command.files, data::HoldOut(std::move(key), command.fraction),
                                                   command.out, command.data_key));
  if (command.json)
    std::cout << Json::object({{"training", done.training}, {"validation", done.validation}}).dump() << '\n';
  else
    std::cout << done.training << " records for training, " << done.validation << " for validation, in " << command.out
              << '\n';
  return {};
}

void add_data_commands(Command& root, DataCommand& d) {
  root.group("Records");
  Command& data = root.subcommand("data", "check, select, minimise, split or seal a site's records");
  data.example("check records.jsonl");
  const auto common = [&d](Command& command) -> Command& {
    return command.option("files", d.files, "JSON lines, plain, .gz or .zst", true)
        .option("--config", d.config, "what to look for and what to tolerate: a check.toml")
        .option("--validation", d.validation, "a validation set that must not leak into training")
        .option("--model", d.model, "its tokenizer and chat template count tokens")
        .option("--chat-template", d.chat_template, "a well-known one by name, instead of the model's own")
        .option("--system-prompt", d.system_prompt, "for records in the instruction format")
        .option("--data-key", d.data_key, "the key's file, for sealed files")
        .json(d.json);
  };
  common(data.subcommand("check", "what is wrong, what repeats, what leaks, what is missing"))
      .option("--production", d.production, "a sample of production queries to compare with")
      .option("--html", d.html, "write the report as a page, too")
      .example("records.jsonl --config check.toml --html check.html")
      .on_run([&d] { return data_check(d); });
  common(data.subcommand("select", "the records worth training on, and why the others are not"))
      .option("--out", d.out, "where the kept lines go", true)
      .option("--reasons", d.reasons, "where the reasons for the others go", true)
      .option("--min-score", d.min_score, "records below are left out")
      .flag("--keep-repeats", d.keep_repeats, "keep records that repeat another of the same patient")
      .example("records.jsonl --out kept.jsonl --reasons left-out.jsonl")
      .on_run([&d] { return data_select(d); });
  data.subcommand("minimise", "replace what names a person by surrogates, the same within a patient")
      .option("files", d.files, "JSON lines, plain, .gz or .zst", true)
      .option("--config", d.config, "which kinds, more names, what to keep: a pii.toml")
      .option("--key", d.key, "the key's file; made when it is not there. The same key gives the same surrogates", true)
      .option("--out", d.out, "where the records go")
      .option("--data-key", d.data_key, "the key's file, for sealed files")
      .flag("--preview", d.preview, "show the changes as a diff and write nothing")
      .json(d.json)
      .example("records.jsonl --key pii.key --out minimised.jsonl")
      .on_run([&d] { return data_minimise(d); });
  data.subcommand("split", "training and validation, by patient")
      .option("files", d.files, "JSON lines, plain, .gz or .zst", true)
      .option("--fraction", d.fraction, "of the patients, for validation")
      .option("--key", d.key, "the key's file; made when it is not there. The same key splits alike for ever", true)
      .option("--out", d.out, "a folder for train.jsonl and val.jsonl", true)
      .option("--data-key", d.data_key, "the key's file, for sealed files")
      .json(d.json)
      .example("records.jsonl --key split.key --out split")
      .on_run([&d] { return data_split(d); });
  data.subcommand("seal", "encrypt a file of records (AES-256-GCM); runs and commands read it without a plain copy")
      .option("files", d.files, "JSON lines, plain, .gz or .zst", true)
      .option("--data-key", d.data_key, "the key's file; made when it is not there", true)
      .option("--out", d.out, "where the sealed file goes", true)
      .json(d.json)
      .example("records.jsonl --data-key data.key --out records.sealed")
      .on_run([&d] { return data_seal(d); });
}

}  // namespace sotto::client
