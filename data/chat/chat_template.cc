#include "data/chat/chat_template.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "data/chat/chat_encoder.h"
#include "data/chat/named_templates.h"

namespace sotto::data {
namespace {

std::string text_of(const Tokenizer& tokenizer, std::optional<std::int32_t> id) {
  return id ? tokenizer.spec().tokens[static_cast<std::size_t>(*id)] : std::string();
}

std::string known_names() {
  std::string out;
  for (const auto& known : named_templates()) out.append(out.empty() ? "" : ", ").append(known.name);
  return out;
}

Result<std::string_view> named(const Tokenizer& tokenizer, const std::string& name) {
  const auto all = named_templates();
  const auto it = std::ranges::find(all, name, &NamedTemplate::name);
  if (it == all.end()) return invalid("the chat template '" + name + "' is not known; known are " + known_names());
  if (!it->control_token.empty() && !tokenizer.control_id(it->control_token))
    return invalid("the chat template '" + name + "' needs the control token " + std::string(it->control_token) +
                   ", which the model's vocabulary does not have");
  return it->jinja;
}

struct Choice {
  std::string name;
  std::optional<Date> today;
};

// "name", "name@2024-07-26" or "@2024-07-26".
Result<Choice> choice_of(const std::string& setting) {
  const auto at = setting.find('@');
  Choice out{setting.substr(0, at), {}};
  if (at == std::string::npos) return out;
  const std::string date = setting.substr(at + 1);
  const auto number = [&](std::size_t from, std::size_t size) {
    int value = -1;
    if (date.size() == 10) std::from_chars(date.data() + from, date.data() + from + size, value);
    return value;
  };
  const Date read{number(0, 4), number(5, 2), number(8, 2)};
  const std::chrono::year_month_day day{std::chrono::year(read.year), std::chrono::month(static_cast<unsigned>(read.month)),
                                        std::chrono::day(static_cast<unsigned>(read.day))};
  if (date.size() != 10 || date[4] != '-' || date[7] != '-' || read.year < 1900 || !day.ok())
    return invalid("the chat template '" + setting + "' names no date behind its @; it is written 2024-07-26");
  out.today = read;
  return out;
}

}  // namespace

std::size_t Example::response_tokens() const {
  return static_cast<std::size_t>(std::ranges::count_if(labels, [](std::int32_t label) { return label != kNoLabel; }));
}

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, Jinja jinja, std::optional<Date> today)
    : tokenizer_(&tokenizer), jinja_(std::move(jinja)), today_(today) {}

Result<ChatTemplate> ChatTemplate::make(const Tokenizer& tokenizer, const std::string& setting) {
  SOTTO_TRY(const auto choice, choice_of(setting));
  const std::string& name = choice.name;
  std::string_view source = tokenizer.spec().chat_template;
  if (!name.empty()) {
    SOTTO_TRY(source, named(tokenizer, name));
  }
  const std::string instead = "; set one by name: " + known_names();
  if (source.empty()) return unsupported("the model brings no chat template" + instead);
  const auto explained = [&](const Error& error) {
    return Error{error.code, "the model's " + error.message + (name.empty() ? instead : "")};
  };
  auto jinja = Jinja::parse(source);
  if (!jinja.ok()) return explained(jinja.error());
  ChatTemplate out(tokenizer, std::move(*jinja), choice.today);
  if (const auto probed = out.probe(name); !probed.ok()) return explained(probed.error());
  return out;
}

// A first conversation, so that a template that this version cannot follow is refused before any record is seen.
Result<void> ChatTemplate::probe(const std::string& name) const {
  const std::vector<ChatMessage> messages = {{"user", "a question"}, {"assistant", "an answer"}};
  SOTTO_TRY(const auto rendered, run(messages, GenerationPrompt::kNo));
  SOTTO_TRY_VOID(run(std::span(messages).first(1), GenerationPrompt::kYes));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto shown = std::ranges::count_if(rendered.parts(), [&](const MarkedText::Part& part) {
      return part.source == static_cast<std::int32_t>(i) && part.text == messages[i].content;
    });
    if (shown != 1)
      return unsupported("chat template shows what the " + messages[i].role + " says " + std::to_string(shown) +
                         " times or changed");
  }
  const Example encoded = encode_marked(rendered, *tokenizer_, [](std::int32_t number) { return number == 1; });
  const bool ended = std::ranges::any_of(
      encoded.labels, [&](std::int32_t label) { return label != kNoLabel && tokenizer_->is_control(label); });
  if (!ended)
    return invalid("chat template " + (name.empty() ? std::string() : "'" + name + "' ") +
                   "is not the vocabulary's: no control token of the vocabulary ends what the assistant says");
  return {};
}

Result<MarkedText> ChatTemplate::run(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  const auto& spec = tokenizer_->spec();
  return jinja_.render(
      {messages, prompt == GenerationPrompt::kYes, text_of(*tokenizer_, spec.bos), text_of(*tokenizer_, spec.eos), today_});
}

Result<std::string> ChatTemplate::render(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  SOTTO_TRY(const auto rendered, run(messages, prompt));
  return rendered.text();
}

Result<std::vector<std::int32_t>> ChatTemplate::ids_recognised(std::span<const ChatMessage> messages,
                                                               GenerationPrompt prompt) const {
  SOTTO_TRY(const auto text, render(messages, prompt));
  return tokenizer_->encode(text, ControlTokens::kRecognise);
}

Result<Example> ChatTemplate::encode(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  SOTTO_TRY(const auto rendered, run(messages, prompt));
  return encode_marked(rendered, *tokenizer_,
                       [&](std::int32_t number) { return messages[static_cast<std::size_t>(number)].role == "assistant"; });
}

Result<std::vector<std::int32_t>> ChatTemplate::ids(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  SOTTO_TRY(auto example, encode(messages, prompt));
  return std::move(example.ids);
}

}  // namespace sotto::data
