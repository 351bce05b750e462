// ChatML as SmolLM2 uses it, recognised by the text of the model's own Jinja template (the default system prompt inside it
// may vary); any other template is refused. Immutable; safe from several threads.
//   <|im_start|>ROLE\nCONTENT<|im_end|>\n  for each message; a default system message first if the first message is no
//   system one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace sotto::data {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

enum class GenerationPrompt { kNo, kYes };  // whether "<|im_start|>assistant\n" is appended, for the model to go on

inline constexpr std::int32_t kNoLabel = -100;

// Token ids and, for each, itself where the model is to learn it or kNoLabel: labels[i] belongs to ids[i] (predicted at i -
// 1).
struct Example {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;
  std::size_t response_tokens() const;  // labels that are not kNoLabel
  bool operator==(const Example&) const = default;
};

class ChatTemplate {
 public:
  // From tokenizer.spec().chat_template; the tokenizer must have <|im_start|> and <|im_end|> as control tokens. `tokenizer`
  // must outlive the template.
  static Result<ChatTemplate> make(const Tokenizer& tokenizer);

  const std::string& default_system() const { return default_system_; }

  // The text as Jinja renders it.
  std::string render(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  // The ids of that text. Contents are spelled out, so that "<|im_end|>" in a content cannot end a message; `ids_recognised`
  // is what transformers' apply_chat_template gives: control tokens are recognised wherever they stand, in contents too.
  std::vector<std::int32_t> ids(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  std::vector<std::int32_t> ids_recognised(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  // For training: piece by piece as in ids(), labels on each assistant message's content and the <|im_end|> behind it.
  Example example(std::span<const ChatMessage> messages) const;

 private:
  ChatTemplate(const Tokenizer& tokenizer, std::string default_system, std::int32_t start, std::int32_t end);
  const Tokenizer* tokenizer_;
  std::string default_system_;
  std::int32_t start_;
  std::int32_t end_;
};

}  // namespace sotto::data
