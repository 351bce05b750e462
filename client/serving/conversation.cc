#include "client/serving/conversation.h"

#include <unistd.h>

#include <functional>
#include <iostream>

#include "base/json.h"
#include "client/measure/evaluate.h"
#include "client/text/adapters.h"
#include "client/text/side_by_side.h"
#include "client/text/text_lines.h"
#include "client/text/text_model.h"
#include "client/text/text_stream.h"
#include "model/inference/language_model.h"

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
    std::optional<TextModel> text;
    SOTTO_TRY(const bool speaks, has_tokenizer(command.model));
    if (speaks) {
      SOTTO_TRY(text, TextModel::load(command.model));
    } else if (!command.stop.empty()) {
      return no_tokenizer();
    }
    SOTTO_TRY(options.stop_ids, stop_ids(command.model, text ? &text->tokenizer() : nullptr));
    SOTTO_TRY(auto language_model,
              model::LanguageModel::load(command.model,
                                         {command.device, precision, static_cast<int>(threads), command.quantized_base}));
    Writer writer(std::move(language_model), std::move(text), std::move(options), command);
    SOTTO_TRY(writer.adapters_, Adapters::load(command.adapters, writer.model_));
    return writer;
  }

  static Error no_tokenizer() {
    return invalid(
        "the model brings no tokenizer (tokenizer.json), so it takes token ids alone: generate --json with {\"ids\"} lines");
  }
  // Null where the model brings none.
  const data::Tokenizer* tokenizer() const { return text_ ? &text_->tokenizer() : nullptr; }
  Result<data::ChatTemplate> chat() const { return text_ ? text_->chat(template_) : no_tokenizer(); }
  std::size_t vocabulary() const { return model_.config().vocab_size; }
  const std::vector<std::string>& adapters() const { return adapters_.names(); }
  std::string first_adapter() const { return adapters().empty() ? std::string() : adapters().front(); }
  Result<void> use_adapter(const std::string& name) { return adapters_.use(model_, name); }

  struct Answer {
    Ids ids;
    std::string text;
    const char* finish = "length";  // or "stop": a stop id or string
  };
  // `show` is told every piece of text as it becomes certain.
  using Show = std::function<void(std::size_t prompt, const std::string& piece)>;
  Result<std::vector<Answer>> answer(std::span<const Ids> prompts, const Show& show = {}) const {
    if (!text_) return ids_alone(prompts);
    std::vector<TextStream> streams(prompts.size(), TextStream(text_->tokenizer(), stops_));
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
      const bool full = is_full(prompts[i], made[i]);
      answers.push_back({std::move(made[i]), streams[i].text(), full && !streams[i].stopped() ? "length" : "stop"});
    }
    return answers;
  }

 private:
  bool is_full(const Ids& prompt, const Ids& made) const {
    return made.size() == options_.max_new_tokens || prompt.size() + made.size() >= model_.config().max_positions;
  }

  Result<std::vector<Answer>> ids_alone(std::span<const Ids> prompts) const {
    SOTTO_TRY(auto made, model_.generate(prompts, options_));
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const bool full = is_full(prompts[i], made[i]);
      answers.push_back({std::move(made[i]), {}, full ? "length" : "stop"});
    }
    return answers;
  }

  Writer(model::LanguageModel&& language_model, std::optional<TextModel>&& text, model::GenerateOptions&& options,
         const WriteCommand& command)
      : model_(std::move(language_model)),
        text_(std::move(text)),
        options_(std::move(options)),
        stops_(command.stop),
        template_(command.chat_template) {}
  model::LanguageModel model_;
  std::optional<TextModel> text_;
  model::GenerateOptions options_;
  std::vector<std::string> stops_;
  std::string template_;
  Adapters adapters_;
};

struct Prompt {
  Ids ids;
  std::string adapter;
};

Result<Prompt> prompt_of(const Writer& writer, const std::string& line, const std::string& where, bool json) {
  Prompt out{{}, writer.first_adapter()};
  const auto encode = [&](const std::string& text) -> Result<Ids> {
    if (writer.tokenizer() == nullptr) return Writer::no_tokenizer();
    return writer.tokenizer()->encode(text, data::ControlTokens::kRecognise, data::Ends::kAsModel);
  };
  if (!json) {
    SOTTO_TRY(out.ids, encode(line));
    return out;
  }
  SOTTO_TRY(const Json object, Json::parse(line, where));
  if (object.find("adapter")) {
    SOTTO_TRY(out.adapter, object.get_string("adapter"));
  }
  if (object.find("ids")) {
    SOTTO_TRY(out.ids, ids_of(object, writer.vocabulary()));
  } else if (object.find("messages")) {
    SOTTO_TRY(const auto messages, messages_of(object));
    SOTTO_TRY(const auto chat, writer.chat());
    SOTTO_TRY(out.ids, chat.ids(messages, data::GenerationPrompt::kYes));
  } else {
    SOTTO_TRY(const auto text, object.get_string("text"));
    SOTTO_TRY(out.ids, encode(text));
  }
  return out;
}

Result<void> write_all(Writer& writer, std::vector<Ids>& prompts, const std::string& adapter, bool json) {
  SOTTO_TRY_VOID(writer.use_adapter(adapter));
  const auto show = [&](std::size_t, const std::string& piece) { std::cout << piece << std::flush; };
  const bool stream = !json && prompts.size() == 1;
  SOTTO_TRY(const auto answers, writer.answer(prompts, stream ? Writer::Show(show) : Writer::Show()));
  for (const auto& answer : answers) {
    Json line = Json::object({{"ids", ids_json(answer.ids)}});
    if (writer.tokenizer() != nullptr) line.set("text", answer.text);
    line.set("finish", answer.finish);
    if (json)
      std::cout << line.dump() << '\n';
    else
      std::cout << (stream ? "" : answer.text) << '\n';
  }
  std::cout.flush();
  prompts.clear();
  return {};
}

// One side of a chat: its model and what was said so far.
struct Side {
  std::string adapter;  // empty: none
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

// What the sides of a comparison are called.
std::string title_of(const Side& side, std::size_t sides) {
  return side.adapter.empty() ? "base" : sides == 2 ? "tuned" : side.adapter;
}

Result<void> answer_line(Writer& writer, std::vector<Side>& sides, const std::string& content, bool json) {
  const bool one = sides.size() == 1;
  const auto show = [&](std::size_t, const std::string& piece) { std::cout << piece << std::flush; };
  std::vector<Column> said;
  for (auto& side : sides) {
    SOTTO_TRY(auto text, say(writer, side, content, one && !json ? Writer::Show(show) : Writer::Show()));
    said.push_back({title_of(side, sides.size()), std::move(text)});
  }
  if (json) {
    Json line = Json::object({});
    for (const auto& side : said) line.set(one ? "content" : side.title, side.text);
    std::cout << line.dump() << '\n';
  } else if (one) {
    std::cout << '\n';
  } else {
    for (std::size_t i = 1; i < said.size(); ++i) std::cout << side_by_side(said[0], said[i], terminal_width());
  }
  std::cout.flush();
  return {};
}

std::vector<Side> new_sides(const WriteCommand& command, const Writer& writer) {
  std::vector<data::ChatMessage> start;
  if (!command.system.empty()) start.push_back({"system", command.system});
  if (!command.compare) return {{writer.first_adapter(), start}};
  std::vector<Side> sides = {{"", start}};
  for (const auto& name : writer.adapters()) sides.push_back({name, start});
  return sides;
}

constexpr std::string_view kSwap = "/adapter";

// "/adapter NAME": what was said stays.
Result<void> swap_adapter(Writer& writer, std::vector<Side>& sides, const std::string& line) {
  if (sides.size() > 1) return invalid("/adapter has no meaning with --compare, which shows every adapter");
  std::string name = line.substr(kSwap.size());
  name.erase(0, name.find_first_not_of(' '));
  SOTTO_TRY_VOID(writer.use_adapter(name));
  sides[0].adapter = name;
  return {};
}

}  // namespace

Result<void> generate(const WriteCommand& command) {
  SOTTO_TRY(const auto batch, count_of("--batch", command.batch, 1));
  SOTTO_TRY(Writer writer, Writer::load(command));
  std::vector<Ids> prompts;
  std::string adapter = writer.first_adapter();  // of the prompts that wait
  const auto take = [&](const std::string& line, const std::string& where, bool json) -> Result<void> {
    SOTTO_TRY(auto prompt, prompt_of(writer, line, where, json));
    if (prompt.ids.empty()) return invalid("there is no token to go on from; give at least one id or a non-empty text");
    if (prompt.adapter != adapter && !prompts.empty()) SOTTO_TRY_VOID(write_all(writer, prompts, adapter, command.json));
    adapter = prompt.adapter;
    prompts.push_back(std::move(prompt.ids));
    return prompts.size() < batch ? Result<void>() : write_all(writer, prompts, adapter, command.json);
  };
  if (!command.prompt.empty()) {
    SOTTO_TRY_VOID(take(command.prompt, "--prompt", false));
  } else {
    SOTTO_TRY_VOID(for_each_line([&](const auto& line, const auto& where) { return take(line, where, command.json); }));
  }
  return prompts.empty() ? Result<void>() : write_all(writer, prompts, adapter, command.json);
}

Result<void> chat(const WriteCommand& command) {
  if (command.compare && command.adapters.empty())
    return invalid("--compare needs --adapter: it shows the model with and without one");
  SOTTO_TRY(auto writer, Writer::load(command));
  SOTTO_TRY_VOID(writer.chat());
  auto sides = new_sides(command, writer);
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
      sides = new_sides(command, writer);
    else if (content == kSwap || content.starts_with(std::string(kSwap) + " "))
      SOTTO_TRY_VOID(swap_adapter(writer, sides, content));
    else
      SOTTO_TRY_VOID(answer_line(writer, sides, content, command.json));
    prompt();
    return {};
  });
}

}  // namespace sotto::client
