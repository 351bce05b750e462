#include "client/conversation.h"

#include <unistd.h>

#include <functional>
#include <iostream>

#include "base/json.h"
#include "client/evaluate.h"
#include "client/side_by_side.h"
#include "client/text_lines.h"
#include "client/text_model.h"
#include "client/text_stream.h"
#include "model/language_model.h"
#include "model/peft_folder.h"

namespace sotto::client {
namespace {

using Ids = std::vector<std::int32_t>;

Result<std::uint32_t> count_of(const char* option, std::int64_t value, std::int64_t lowest) {
  if (value < lowest || value > 1'000'000)
    return invalid(std::string(option) + " is " + std::to_string(value) + "; it must be from " + std::to_string(lowest) +
                   " to 1000000");
  return static_cast<std::uint32_t>(value);
}

// A model that writes.
class Writer {
 public:
  static Result<Writer> load(const WriteCommand& command) {
    SOTTO_TRY(const Precision precision, precision_of(command.precision));
    model::GenerateOptions options;
    SOTTO_TRY(options.max_new_tokens, count_of("--max-tokens", command.max_tokens, 1));
    SOTTO_TRY(options.sampling.top_k, count_of("--top-k", command.top_k, 0));
    SOTTO_TRY(const auto threads, count_of("--threads", command.threads, 0));
    options.sampling.temperature = command.temperature;
    options.sampling.top_p = command.top_p;
    options.sampling.min_p = command.min_p;
    options.sampling.repetition_penalty = command.repetition_penalty;
    options.sampling.seed = static_cast<std::uint64_t>(command.seed);
    SOTTO_TRY_VOID(model::check(options.sampling));
    SOTTO_TRY(auto text, TextModel::load(command.model));
    SOTTO_TRY(options.stop_ids, stop_ids(command.model, text.tokenizer()));
    SOTTO_TRY(auto language_model,
              model::LanguageModel::load(command.model, {command.device, precision, static_cast<int>(threads)}));
    Writer writer(std::move(language_model), std::move(text), std::move(options), command);
    if (!command.adapter.empty()) {
      SOTTO_TRY(writer.adapter_, model::load_peft_folder(command.adapter, writer.model_.config()));
      SOTTO_TRY_VOID(writer.model_.set_adapter(*writer.adapter_));
    }
    return writer;
  }

  const TextModel& text() const { return text_; }
  Result<data::ChatTemplate> chat() const { return text_.chat(template_); }
  std::size_t vocabulary() const { return model_.config().vocab_size; }
  Result<void> use_adapter(bool on) {
    if (on && adapter_) return model_.set_adapter(*adapter_);
    model_.clear_adapter();
    return {};
  }

  struct Answer {
    Ids ids;
    std::string text;
    const char* finish = "length";  // or "stop": a stop id or string
  };
  // `show` is told every piece of text as it becomes certain.
  using Show = std::function<void(std::size_t prompt, const std::string& piece)>;
  Result<std::vector<Answer>> answer(std::span<const Ids> prompts, const Show& show = {}) const {
    std::vector<TextStream> streams(prompts.size(), TextStream(text_.tokenizer(), stops_));
    std::optional<Error> failed;
    const auto on_token = [&](std::size_t prompt, std::int32_t id) {
      auto piece = streams[prompt].add(id);
      if (!piece.ok()) failed = piece.error();
      if (failed) return false;
      if (show && !piece->empty()) show(prompt, *piece);
      return !streams[prompt].stopped();
    };
    SOTTO_TRY(auto made, model_.generate(prompts, options_, on_token));
    if (failed) return *failed;
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const std::string rest = streams[i].finish();
      if (show && !rest.empty()) show(i, rest);
      const bool full = made[i].size() == options_.max_new_tokens || prompts[i].size() + made[i].size() >= model_.config().max_positions;
      answers.push_back({std::move(made[i]), streams[i].text(), full && !streams[i].stopped() ? "length" : "stop"});
    }
    return answers;
  }

 private:
  Writer(model::LanguageModel&& language_model, TextModel&& text, model::GenerateOptions&& options, const WriteCommand& command)
      : model_(std::move(language_model)),
        text_(std::move(text)),
        options_(std::move(options)),
        stops_(command.stop),
        template_(command.chat_template) {}
  model::LanguageModel model_;
  TextModel text_;
  model::GenerateOptions options_;
  std::vector<std::string> stops_;
  std::string template_;
  std::optional<model::Adapter> adapter_;
};

Result<Ids> prompt_ids(const Writer& writer, const std::string& line, const std::string& where, bool json) {
  const auto encode = [&](const std::string& text) {
    return writer.text().tokenizer().encode(text, data::ControlTokens::kRecognise, data::Ends::kAsModel);
  };
  if (!json) return encode(line);
  SOTTO_TRY(const Json object, Json::parse(line, where));
  if (object.find("ids")) return ids_of(object, writer.vocabulary());
  if (object.find("messages")) {
    SOTTO_TRY(const auto messages, messages_of(object));
    SOTTO_TRY(const auto chat, writer.chat());
    return chat.ids(messages, data::GenerationPrompt::kYes);
  }
  SOTTO_TRY(const auto text, object.get_string("text"));
  return encode(text);
}

Result<void> write_all(const Writer& writer, std::vector<Ids>& prompts, bool json) {
  const auto show = [&](std::size_t, const std::string& piece) { std::cout << piece << std::flush; };
  const bool stream = !json && prompts.size() == 1;
  SOTTO_TRY(const auto answers, writer.answer(prompts, stream ? Writer::Show(show) : Writer::Show()));
  for (const auto& answer : answers) {
    if (json)
      std::cout << Json::object({{"ids", ids_json(answer.ids)}, {"text", answer.text}, {"finish", answer.finish}}).dump() << '\n';
    else
      std::cout << (stream ? "" : answer.text) << '\n';
  }
  std::cout.flush();
  prompts.clear();
  return {};
}

// One side of a chat: its model and what was said so far.
struct Side {
  bool adapter = false;
  std::vector<data::ChatMessage> messages;
};

Result<std::string> say(Writer& writer, Side& side, const std::string& content, const Writer::Show& show) {
  SOTTO_TRY(const auto chat, writer.chat());
  SOTTO_TRY_VOID(writer.use_adapter(side.adapter));
  side.messages.push_back({"user", content});
  SOTTO_TRY(auto ids, chat.ids(side.messages, data::GenerationPrompt::kYes));
  const std::vector<Ids> prompts = {std::move(ids)};
  SOTTO_TRY(const auto answers, writer.answer(prompts, show));
  side.messages.push_back({"assistant", answers[0].text});
  return answers[0].text;
}

Result<void> answer_line(Writer& writer, std::vector<Side>& sides, const std::string& content, bool json) {
  const bool one = sides.size() == 1;
  const auto show = [&](std::size_t, const std::string& piece) { std::cout << piece << std::flush; };
  std::vector<std::string> said;
  for (auto& side : sides) {
    SOTTO_TRY(auto text, say(writer, side, content, one && !json ? Writer::Show(show) : Writer::Show()));
    said.push_back(std::move(text));
  }
  if (json)
    std::cout << (one ? Json::object({{"content", said[0]}}) : Json::object({{"base", said[0]}, {"tuned", said[1]}})).dump() << '\n';
  else
    std::cout << (one ? std::string("\n") : side_by_side({"base", said[0]}, {"tuned", said[1]}, terminal_width()));
  std::cout.flush();
  return {};
}

std::vector<Side> new_sides(const WriteCommand& command) {
  std::vector<data::ChatMessage> start;
  if (!command.system.empty()) start.push_back({"system", command.system});
  if (command.compare) return {{false, start}, {true, start}};
  return {{!command.adapter.empty(), start}};
}

}  // namespace

Result<void> generate(const WriteCommand& command) {
  SOTTO_TRY(const auto batch, count_of("--batch", command.batch, 1));
  SOTTO_TRY(const Writer writer, Writer::load(command));
  std::vector<Ids> prompts;
  const auto take = [&](const std::string& line, const std::string& where, bool json) -> Result<void> {
    SOTTO_TRY(auto ids, prompt_ids(writer, line, where, json));
    if (ids.empty()) return invalid("there is no token to go on from; give at least one id or a non-empty text");
    prompts.push_back(std::move(ids));
    return prompts.size() < batch ? Result<void>() : write_all(writer, prompts, command.json);
  };
  if (!command.prompt.empty()) {
    SOTTO_TRY_VOID(take(command.prompt, "--prompt", false));
  } else {
    SOTTO_TRY_VOID(for_each_line([&](const auto& line, const auto& where) { return take(line, where, command.json); }));
  }
  return prompts.empty() ? Result<void>() : write_all(writer, prompts, command.json);
}

Result<void> chat(const WriteCommand& command) {
  if (command.compare && command.adapter.empty())
    return invalid("--compare needs --adapter: it shows the model with and without one");
  SOTTO_TRY(auto writer, Writer::load(command));
  SOTTO_TRY_VOID(writer.chat());
  auto sides = new_sides(command);
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && !command.json;
  const auto prompt = [&] {
    if (terminal) std::cout << "> " << std::flush;
  };
  prompt();
  return for_each_line([&](const std::string& line, const std::string& where) -> Result<void> {
    std::string content = line;
    if (command.json) {
      SOTTO_TRY(const Json object, Json::parse(line, where));
      SOTTO_TRY(content, object.get_string("content"));
    }
    if (content == "/reset")
      sides = new_sides(command);
    else
      SOTTO_TRY_VOID(answer_line(writer, sides, content, command.json));
    prompt();
    return {};
  });
}

}  // namespace sotto::client
