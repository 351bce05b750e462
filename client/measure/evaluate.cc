#include "client/measure/evaluate.h"

#include <iostream>

#include "base/progress.h"
#include "client/text/text_lines.h"
#include "client/text/text_model.h"
#include "data/records/data_set.h"
#include "evaluation/coding.h"
#include "model/adapter/peft_folder.h"
#include "model/inference/language_model.h"

namespace sotto::client {
namespace {

constexpr std::size_t kRecordsPerCall = 16;
constexpr std::uint32_t kMaxAnswerTokens = 40;  // the longest coded answers of the demo's data

struct Loaded {
  model::LanguageModel model;
  TextModel text;
  data::DataSet data;
};

Result<Loaded> load(const EvalCommand& command) {
  if (command.max_tokens < 8 || command.max_tokens > 8192)
    return invalid("--max-tokens is " + std::to_string(command.max_tokens) + "; it must be from 8 to 8192");
  if (command.limit < 0) return invalid("--limit is " + std::to_string(command.limit) + "; it must be 0 (all) or more");
  SOTTO_TRY(const Precision precision, precision_of(command.precision));
  SOTTO_TRY(auto records, data::read_records(command.data, {command.system_prompt, command.data_key}));
  if (command.limit > 0 && records.size() > static_cast<std::size_t>(command.limit))
    records.resize(static_cast<std::size_t>(command.limit));
  SOTTO_TRY(auto text, TextModel::load(command.model));
  SOTTO_TRY(const auto chat, text.chat(command.chat_template));
  auto data = data::encode(std::move(records), chat, {privacy::Unit::kRecord, static_cast<std::size_t>(command.max_tokens)});
  if (data.examples.empty() && data.refused > 0)
    return invalid("'" + command.data + "': no record can be used: " + data.refusal);
  if (data.examples.empty())
    return invalid("'" + command.data + "' holds no record whose response fits into " + std::to_string(command.max_tokens) +
                   " tokens");
  SOTTO_TRY(auto model,
            model::LanguageModel::load(
                command.model, {command.device, precision, static_cast<int>(command.threads), command.quantized_base}));
  if (!command.adapter.empty()) {
    SOTTO_TRY(const auto adapter, model::load_peft_folder(command.adapter, model.config()));
    SOTTO_TRY_VOID(model.set_adapter(adapter));
  }
  return Loaded{std::move(model), std::move(text), std::move(data)};
}

Result<void> add_losses(const Loaded& in, evaluation::Score& score, Progress& progress) {
  const std::span<const data::Example> examples(in.data.examples);
  for (std::size_t i = 0; i < examples.size(); i += kRecordsPerCall) {
    const auto part = examples.subspan(i, std::min(kRecordsPerCall, examples.size() - i));
    SOTTO_TRY(const auto losses, in.model.evaluate(part));
    for (std::size_t k = 0; k < losses.size(); ++k)
      score.add_tokens(in.data.records[i + k].task, losses[k].loss_sum, losses[k].tokens, losses[k].correct);
    progress.advance(part.size());
  }
  return {};
}

Result<void> add_answers(const Loaded& in, const data::ChatTemplate& chat, evaluation::Score& score, Progress& progress) {
  std::vector<std::size_t> asked;
  for (std::size_t i = 0; i < in.data.records.size(); ++i) {
    const auto& task = in.data.records[i].task;
    if (task == "code" || task == "multi") asked.push_back(i);
  }
  const auto stop = in.text.tokenizer().spec().eos;
  for (std::size_t i = 0; i < asked.size(); i += kRecordsPerCall) {
    const std::size_t n = std::min(kRecordsPerCall, asked.size() - i);
    std::vector<std::vector<std::int32_t>> prompts;
    for (std::size_t k = 0; k < n; ++k) {
      const auto& messages = in.data.records[asked[i + k]].messages;
      SOTTO_TRY(auto prompt, chat.ids(std::span(messages).first(messages.size() - 1), data::GenerationPrompt::kYes));
      prompts.push_back(std::move(prompt));
    }
    model::GenerateOptions options{kMaxAnswerTokens, {}, {}};
    if (stop) options.stop_ids.push_back(*stop);
    SOTTO_TRY(const auto answers, in.model.generate(prompts, options));
    for (std::size_t k = 0; k < n; ++k) {
      const auto& record = in.data.records[asked[i + k]];
      SOTTO_TRY(const auto answer, in.text.tokenizer().decode(answers[k], data::DecodeControl::kSkip));
      score.add_answer(record.task, record.messages.back().content, answer, record.copy);
    }
    progress.advance(n);
  }
  return {};
}

}  // namespace

Result<Precision> precision_of(const std::string& name) {
  if (const auto known = with_name<Precision>(name)) return *known;
  return invalid("--precision is '" + name + "'; it must be one of " + listed_names<Precision>());
}

Result<void> evaluate(const EvalCommand& command) {
  SOTTO_TRY(const Loaded in, load(command));
  SOTTO_TRY(const auto chat, in.text.chat(command.chat_template));
  evaluation::Score score;
  Progress progress("evaluation of " + std::to_string(in.data.examples.size()) + " records",
                    in.data.examples.size() * (command.answers ? 2 : 1));
  SOTTO_TRY_VOID(add_losses(in, score, progress));
  if (command.answers) SOTTO_TRY_VOID(add_answers(in, chat, score, progress));
  progress.finish();
  std::cout << (command.json ? score.to_json().dump() + "\n" : score.text());
  return {};
}

}  // namespace sotto::client
