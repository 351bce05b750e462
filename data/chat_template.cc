#include "data/chat_template.h"

#include <algorithm>

#include "base/check.h"

namespace sotto::data {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";

// SmolLM2's template: the default system prompt stands between these two.
constexpr std::string_view kBeforeDefault =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n";
constexpr std::string_view kBehindDefault =
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// A Jinja string literal writes a line break as itself or as \n; files from different writers have either.
std::string with_real_line_breaks(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n') {
      out += '\n';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string shortened(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text.size() <= 160 ? text : text.substr(0, 160) + "...";
}

}  // namespace

std::size_t Example::response_tokens() const {
  return static_cast<std::size_t>(std::ranges::count_if(labels, [](std::int32_t label) { return label != kNoLabel; }));
}

ChatTemplate::ChatTemplate(const Tokenizer& tokenizer, std::string default_system, std::int32_t start, std::int32_t end)
    : tokenizer_(&tokenizer), default_system_(std::move(default_system)), start_(start), end_(end) {}

Result<ChatTemplate> ChatTemplate::make(const Tokenizer& tokenizer) {
  const std::string& given = tokenizer.spec().chat_template;
  if (given.empty())
    return unsupported("the model brings no chat template; this version needs the ChatML template of SmolLM2");
  const std::string text = with_real_line_breaks(given);
  std::string_view middle = text;
  const Error unknown = unsupported(
      "the model's chat template is not the ChatML of SmolLM2, the only one in this version: " + shortened(given));
  if (!middle.starts_with(kBeforeDefault)) return unknown;
  middle.remove_prefix(kBeforeDefault.size());
  if (!middle.ends_with(kBehindDefault)) return unknown;
  middle.remove_suffix(kBehindDefault.size());
  if (middle.find_first_of("'\\") != std::string_view::npos)
    return unknown;  // the literal would end, or an escape would change it
  const auto start = tokenizer.control_id(kStart);
  const auto end = tokenizer.control_id(kEnd);
  if (!start || !end)
    return invalid("the vocabulary has no control tokens <|im_start|> and <|im_end|>, which its chat template needs");
  return ChatTemplate(tokenizer, std::string(middle), *start, *end);
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  std::string out;
  const auto add = [&out](std::string_view role, std::string_view content) {
    out.append(kStart).append(role).append("\n").append(content).append(kEnd).append("\n");
  };
  if (!messages.empty() && messages.front().role != "system") add("system", default_system_);
  for (const auto& message : messages) add(message.role, message.content);
  if (prompt == GenerationPrompt::kYes) out.append(kStart).append("assistant\n");
  return out;
}

std::vector<std::int32_t> ChatTemplate::ids_recognised(std::span<const ChatMessage> messages,
                                                       GenerationPrompt prompt) const {
  return tokenizer_->encode(render(messages, prompt), ControlTokens::kRecognise);
}

std::vector<std::int32_t> ChatTemplate::ids(std::span<const ChatMessage> messages, GenerationPrompt prompt) const {
  auto out = example(messages).ids;
  if (prompt == GenerationPrompt::kYes) {
    out.push_back(start_);
    const auto role = tokenizer_->encode("assistant\n", ControlTokens::kAsPlainText);
    out.insert(out.end(), role.begin(), role.end());
  }
  return out;
}

Example ChatTemplate::example(std::span<const ChatMessage> messages) const {
  Example out;
  const auto put = [&out](std::span<const std::int32_t> ids, bool learnt) {
    for (const auto id : ids) {
      out.ids.push_back(id);
      out.labels.push_back(learnt ? id : kNoLabel);
    }
  };
  const auto put_text = [&](std::string_view text, bool learnt) {
    put(tokenizer_->encode(text, ControlTokens::kAsPlainText), learnt);
  };
  const auto put_message = [&](std::string_view role, std::string_view content) {
    const bool learnt = role == "assistant";
    put({&start_, 1}, false);
    put_text(std::string(role) + "\n", false);
    put_text(content, learnt);
    put({&end_, 1}, learnt);
    put_text("\n", false);
  };
  if (!messages.empty() && messages.front().role != "system") put_message("system", default_system_);
  for (const auto& message : messages) put_message(message.role, message.content);
  return out;
}

}  // namespace sotto::data
