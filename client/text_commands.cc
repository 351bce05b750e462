#include "client/text_commands.h"

#include <functional>
#include <iostream>

#include "base/json.h"
#include "client/text_model.h"
#include "model/language_model.h"
#include "model/peft_folder.h"

namespace sotto::client {
namespace {

using Ids = std::vector<std::int32_t>;

Result<void> for_each_line(const std::function<Result<void>(const std::string&, const std::string&)>& answer) {
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const std::string where = "standard input:" + std::to_string(number);
    if (const auto done = answer(line, where); !done.ok()) {
      const auto& e = done.error();
      return Error{e.code, e.message.starts_with(where) ? e.message : where + ": " + e.message};
    }
    std::cout.flush();
  }
  return {};
}

Result<Ids> ids_of(const Json& json, std::size_t vocabulary) {
  SOTTO_TRY(const auto* items, json.get_array("ids"));
  Ids ids;
  for (const auto& item : *items) {
    if (!item.is_int() || item.as_int() < 0 || static_cast<std::size_t>(item.as_int()) >= vocabulary)
      return invalid("field 'ids' has " + item.dump() + ", which is no token id below " + std::to_string(vocabulary));
    ids.push_back(static_cast<std::int32_t>(item.as_int()));
  }
  return ids;
}

Json to_json(const Ids& ids) {
  Json::Array out(ids.begin(), ids.end());
  return Json(std::move(out));
}

Result<std::vector<data::ChatMessage>> messages_of(const Json& json) {
  SOTTO_TRY(const auto* items, json.get_array("messages"));
  std::vector<data::ChatMessage> out;
  for (const auto& item : *items) {
    SOTTO_TRY(const auto role, item.get_string("role"));
    SOTTO_TRY(const auto content, item.get_string("content"));
    out.push_back({role, content});
  }
  if (out.empty()) return invalid("field 'messages' is empty");
  return out;
}

Result<Precision> precision_of(const std::string& name) {
  if (name == "fp32") return Precision::kFp32;
  if (name == "bf16") return Precision::kBf16;
  if (name == "auto") return Precision::kAuto;
  return invalid("--precision is '" + name + "'; it is fp32, bf16 or auto");
}

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
  return Json::object({{"ids", to_json(ids)}, {"token_logprobs", std::move(logprobs)}, {"total", scores.total}, {"top", std::move(top)}});
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
      std::cout << Json::object({{"ids", to_json(ids)}}).dump() << '\n';
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
    std::cout << Json::object({{"text", text}, {"ids", to_json(example.ids)}, {"labels", to_json(example.labels)}}).dump() << '\n';
    return {};
  });
}

Result<void> score(const TextCommand& command) {
  SOTTO_TRY(const Precision precision, precision_of(command.precision));
  if (command.top < 0 || command.top > 1000000) return invalid("--top is " + std::to_string(command.top) + "; it must be 0 or more");
  SOTTO_TRY(auto language_model, model::LanguageModel::load(command.model, {command.device, precision, 0}));
  if (!command.adapter.empty()) {
    SOTTO_TRY(const auto adapter, model::load_peft_folder(command.adapter, language_model.config()));
    SOTTO_TRY_VOID(language_model.set_adapter(adapter));
  }
  std::optional<TextModel> text;  // only loaded when a line has text: a folder without a tokenizer can still be scored by ids
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
    SOTTO_TRY(const auto scores, language_model.score(ids, top));
    std::cout << score_json(ids, scores).dump() << '\n';
    return {};
  });
}

}  // namespace sotto::client
