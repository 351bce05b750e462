#include "client/serving/text_commands.h"

#include <iostream>

#include "base/json.h"
#include "client/measure/evaluate.h"
#include "client/text/adapters.h"
#include "client/text/text_lines.h"
#include "client/text/text_model.h"
#include "model/inference/language_model.h"

namespace sotto::client {
namespace {

using Ids = std::vector<std::int32_t>;

// Text lines when they are not JSON: `echo hello | sotto-client tokenize --model M`.
Result<std::string> text_of(const std::string& line, const std::string& where, bool json) {
  if (!json) return line;
  SOTTO_TRY(const Json object, Json::parse(line, where));
  return object.get_string("text");
}

Json score_json(const Ids& ids, const model::Scores& scores) {
  Json::Array logprobs(scores.token_logprobs.begin(), scores.token_logprobs.end());
  Json::Array top;
  for (const auto& t : scores.top) top.push_back(Json::object({{"id", t.id}, {"logprob", t.logprob}}));
  return Json::object(
      {{"ids", ids_json(ids)}, {"token_logprobs", std::move(logprobs)}, {"total", scores.total}, {"top", std::move(top)}});
}

// {"adapter": name}; a line without it takes the first, or the base where there is none.
Result<void> use_named(const Json& line, Adapters& adapters, model::LanguageModel& model) {
  if (line.find("adapter") == nullptr)
    return adapters.use(model, adapters.names().empty() ? std::string() : adapters.names().front());
  SOTTO_TRY(const auto name, line.get_string("adapter"));
  return adapters.use(model, name);
}

}  // namespace

Result<void> tokenize(const TextCommand& command) {
  SOTTO_TRY(const TextModel text, TextModel::load(command.model));
  const auto& tokenizer = text.tokenizer();
  return for_each_line([&](const std::string& line, const std::string& where) -> Result<void> {
    if (command.decode) {
      SOTTO_TRY(const Json object, Json::parse(line, where));
      SOTTO_TRY(const Ids ids, ids_of(object, tokenizer.size()));
      SOTTO_TRY(const std::string decoded, tokenizer.decode(ids));
      std::cout << (command.json ? Json::object({{"text", decoded}}).dump() : decoded) << '\n';
      return {};
    }
    SOTTO_TRY(const std::string plain, text_of(line, where, command.json));
    const auto control = command.plain ? data::ControlTokens::kAsPlainText : data::ControlTokens::kRecognise;
    const Ids ids = tokenizer.encode(plain, control, command.bare ? data::Ends::kNone : data::Ends::kAsModel);
    if (command.json) {
      std::cout << Json::object({{"ids", ids_json(ids)}}).dump() << '\n';
    } else {
      for (std::size_t i = 0; i < ids.size(); ++i) std::cout << (i ? " " : "") << ids[i];
      std::cout << '\n';
    }
    return {};
  });
}

Result<void> chat_template(const TextCommand& command) {
  SOTTO_TRY(const TextModel model, TextModel::load(command.model));
  SOTTO_TRY(const auto chat, model.chat(command.chat_template));
  return for_each_line([&](const std::string& line, const std::string& where) -> Result<void> {
    SOTTO_TRY(const Json object, Json::parse(line, where));
    SOTTO_TRY(const auto messages, messages_of(object));
    bool prompt = command.add_generation_prompt;
    if (object.find("add_generation_prompt")) {
      SOTTO_TRY(prompt, object.get_bool("add_generation_prompt"));
    }
    const auto mode = prompt ? data::GenerationPrompt::kYes : data::GenerationPrompt::kNo;
    SOTTO_TRY(const auto text, chat.render(messages, mode));
    SOTTO_TRY(const auto example, chat.encode(messages, mode));
    std::cout << Json::object({{"text", text}, {"ids", ids_json(example.ids)}, {"labels", ids_json(example.labels)}}).dump()
              << '\n';
    return {};
  });
}

Result<void> score(const TextCommand& command) {
  SOTTO_TRY(const Precision precision, precision_of(command.precision));
  if (command.top < 0 || command.top > 1000000)
    return invalid("--top is " + std::to_string(command.top) + "; it must be 0 or more");
  SOTTO_TRY(auto language_model,
            model::LanguageModel::load(
                command.model, {command.device, precision, static_cast<int>(command.threads), command.quantized_base}));
  SOTTO_TRY(auto adapters, Adapters::load(command.adapters, language_model));
  std::optional<TextModel>
      text;  // only loaded when a line has text: a folder without a tokenizer can still be scored by ids
  const auto top = static_cast<std::size_t>(command.top);
  return for_each_line([&](const std::string& line, const std::string& where) -> Result<void> {
    SOTTO_TRY(const Json object, Json::parse(line, where));
    Ids ids;
    if (object.find("ids")) {
      SOTTO_TRY(ids, ids_of(object, language_model.config().vocab_size));
    } else {
      SOTTO_TRY(const std::string plain, object.get_string("text"));
      if (!text) {
        SOTTO_TRY(text, TextModel::load(command.model));
      }
      ids = text->tokenizer().encode(plain, data::ControlTokens::kRecognise, data::Ends::kAsModel);
    }
    if (ids.empty()) return invalid("there is no token to score; give at least one id or a non-empty text");
    SOTTO_TRY_VOID(use_named(object, adapters, language_model));
    SOTTO_TRY(const auto scores, language_model.score(ids, top));
    std::cout << score_json(ids, scores).dump() << '\n';
    return {};
  });
}

}  // namespace sotto::client
