#include "client/measure/run_task.h"

#include <algorithm>
#include <optional>

#include "base/progress.h"
#include "client/measure/sandbox.h"

namespace sotto::client {
namespace {

using evaluation::Item;
using evaluation::Outcome;
using evaluation::PromptFormat;
using evaluation::Ratio;
using evaluation::Task;
using evaluation::TaskKind;

constexpr std::size_t kRecordsPerCall = 16;

// A text that is to be continued: behind what the model itself begins a text with (BOS), without what it ends one with.
std::vector<std::int32_t> begun(const data::Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> ids = tokenizer.spec().before;
  const auto tokens = tokenizer.encode(text, data::ControlTokens::kAsPlainText);
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  return ids;
}

class Asker {
 public:
  Asker(const Task& task, const model::LanguageModel& model, const TextModel& text, std::optional<data::ChatTemplate> chat)
      : task_(task), model_(model), text_(text), chat_(std::move(chat)) {}

  // Ids and labels of one answer behind an item's prompt.
  Result<data::Example> behind_prompt(const Item& item, const std::string& answer) const {
    data::Example out;
    if (chat_) {
      SOTTO_TRY(out.ids, chat_->ids(messages(item), data::GenerationPrompt::kYes));
      const auto tokens = text_.tokenizer().encode(task_.delimiter + answer, data::ControlTokens::kAsPlainText);
      out.labels.assign(out.ids.size(), data::kNoLabel);
      out.ids.insert(out.ids.end(), tokens.begin(), tokens.end());
      out.labels.insert(out.labels.end(), tokens.begin(), tokens.end());
    } else {
      out = continuation_plain(text_.tokenizer(), item.prompt, task_.delimiter + answer);
    }
    if (out.response_tokens() == 0)
      return invalid("item '" + item.id + "': '" + answer.substr(0, 60) +
                     "' adds no token behind the prompt; give a longer text");
    SOTTO_TRY_VOID(fits(item, out.ids.size()));
    return out;
  }

  Result<std::vector<std::int32_t>> prompt_ids(const Item& item) const {
    std::vector<std::int32_t> ids;
    if (chat_) {
      SOTTO_TRY(ids, chat_->ids(messages(item), data::GenerationPrompt::kYes));
    } else {
      ids = begun(text_.tokenizer(), item.prompt);
    }
    if (ids.empty()) return invalid("item '" + item.id + "': its prompt has no token");
    SOTTO_TRY_VOID(fits(item, ids.size() + task_.max_tokens));
    return ids;
  }

  Result<std::vector<model::ExampleLoss>> losses(std::span<const data::Example> examples, Progress& progress) const {
    std::vector<model::ExampleLoss> out;
    for (std::size_t i = 0; i < examples.size(); i += kRecordsPerCall) {
      const auto part = examples.subspan(i, std::min(kRecordsPerCall, examples.size() - i));
      SOTTO_TRY(const auto losses, model_.evaluate(part));
      out.insert(out.end(), losses.begin(), losses.end());
      progress.advance(part.size());
    }
    return out;
  }

  Result<std::vector<std::string>> answers(std::span<const std::vector<std::int32_t>> prompts, Progress& progress) const {
    model::GenerateOptions options{task_.max_tokens, {}, {}};
    SOTTO_TRY(options.stop_ids, stop_ids());
    std::vector<std::string> out;
    for (std::size_t i = 0; i < prompts.size(); i += kRecordsPerCall) {
      const auto part = prompts.subspan(i, std::min(kRecordsPerCall, prompts.size() - i));
      SOTTO_TRY(const auto generated, model_.generate(part, options));
      for (const auto& ids : generated) {
        SOTTO_TRY(const auto answer, text_.tokenizer().decode(ids, data::DecodeControl::kSkip));
        out.emplace_back(evaluation::before_stop(task_, answer));
      }
      progress.advance(part.size());
    }
    return out;
  }

 private:
  // The model's EOS, and what ends an answer in its chat template where that is another token.
  Result<std::vector<std::int32_t>> stop_ids() const {
    std::vector<std::int32_t> out;
    if (const auto eos = text_.tokenizer().spec().eos) out.push_back(*eos);
    if (!chat_) return out;
    const std::vector<data::ChatMessage> turn{{"user", "Q"}, {"assistant", "A"}};
    SOTTO_TRY(const auto example, chat_->example(turn));
    const auto last =
        std::find_if(example.labels.rbegin(), example.labels.rend(), [](auto label) { return label != data::kNoLabel; });
    if (last != example.labels.rend() && text_.tokenizer().is_control(*last)) out.push_back(*last);
    return out;
  }

  std::vector<data::ChatMessage> messages(const Item& item) const {
    std::vector<data::ChatMessage> out;
    if (!task_.system.empty()) out.push_back({"system", task_.system});
    out.push_back({"user", item.prompt});
    return out;
  }

  Result<void> fits(const Item& item, std::size_t tokens) const {
    if (tokens <= model_.config().max_positions) return {};
    return invalid("item '" + item.id + "' needs " + std::to_string(tokens) + " tokens, and the model has " +
                   std::to_string(model_.config().max_positions) + " positions; shorten the item or the task's max_tokens");
  }

  const Task& task_;
  const model::LanguageModel& model_;
  const TextModel& text_;
  std::optional<data::ChatTemplate> chat_;
};

Result<void> run_choices(const Task& task, const Asker& asker, Outcome& out) {
  std::vector<data::Example> examples;
  for (const auto& item : task.items)
    for (const auto& choice : item.choices) {
      SOTTO_TRY(examples.emplace_back(), asker.behind_prompt(item, choice));
    }
  Progress progress(task.name + ": " + std::to_string(examples.size()) + " choices", examples.size());
  SOTTO_TRY(const auto losses, asker.losses(examples, progress));
  progress.finish();
  std::size_t at = 0;
  for (const auto& item : task.items) {
    std::vector<double> logprobs;
    for (std::size_t i = 0; i < item.choices.size(); ++i) logprobs.push_back(-losses[at++].loss_sum);
    out.records.push_back(evaluation::score_choice(item, logprobs));
    out.logprobs.push_back(std::move(logprobs));
  }
  return {};
}

Result<void> run_losses(const Task& task, const Asker& asker, Outcome& out) {
  std::vector<data::Example> examples;
  for (const auto& item : task.items) {
    SOTTO_TRY(examples.emplace_back(), asker.behind_prompt(item, item.references.front()));
  }
  Progress progress(task.name + ": " + std::to_string(examples.size()) + " references", examples.size());
  SOTTO_TRY(const auto losses, asker.losses(examples, progress));
  progress.finish();
  for (const auto& loss : losses) {
    const double tokens = loss.tokens;
    out.records.push_back(
        {{"loss", Ratio{loss.loss_sum, tokens}}, {"token_accuracy", Ratio{static_cast<double>(loss.correct), tokens}}});
  }
  return {};
}

Result<void> run_answers(const Task& task, const Asker& asker, Outcome& out) {
  const bool runs_code = task.metrics.contains("code_runs");
  if (runs_code) SOTTO_TRY_VOID(check_sandbox());
  std::vector<std::vector<std::int32_t>> prompts;
  for (const auto& item : task.items) {
    SOTTO_TRY(prompts.emplace_back(), asker.prompt_ids(item));
  }
  Progress progress(task.name + ": " + std::to_string(prompts.size()) + " answers", prompts.size());
  SOTTO_TRY(out.responses, asker.answers(prompts, progress));
  progress.finish();
  for (std::size_t i = 0; i < task.items.size(); ++i) {
    out.records.push_back(evaluation::score_response(task, task.items[i], out.responses[i]));
    if (!runs_code) continue;
    SOTTO_TRY(const bool passed, runs_well(code_in(out.responses[i]) + "\n" + task.items[i].tests));
    out.records.back()["code_runs"] = Ratio::of(passed);
  }
  return {};
}

}  // namespace

data::Example continuation_plain(const data::Tokenizer& tokenizer, std::string_view prompt, std::string_view continuation) {
  const std::size_t end = prompt.find_last_not_of(" \t\n\r\v\f") + 1;  // npos + 1 is 0
  const std::string whole = std::string(prompt) + std::string(continuation);
  data::Example out;
  out.ids = begun(tokenizer, whole);
  out.labels = out.ids;
  const std::size_t context = begun(tokenizer, prompt.substr(0, end)).size();
  std::fill_n(out.labels.begin(), std::min(context, out.labels.size()), data::kNoLabel);
  return out;
}

Result<Outcome> run_task(const Task& task, const model::LanguageModel& model, const TextModel& text, std::string name) {
  std::optional<data::ChatTemplate> chat;
  if (task.format == PromptFormat::kChat) {
    SOTTO_TRY(chat, text.chat());
  }
  const Asker asker(task, model, text, std::move(chat));
  Outcome out;
  out.model = std::move(name);
  switch (task.kind) {
    case TaskKind::kChoice: {
      SOTTO_TRY_VOID(run_choices(task, asker, out));
      break;
    }
    case TaskKind::kLoss: {
      SOTTO_TRY_VOID(run_losses(task, asker, out));
      break;
    }
    case TaskKind::kGenerate: {
      SOTTO_TRY_VOID(run_answers(task, asker, out));
      break;
    }
  }
  return out;
}

}  // namespace sotto::client
