// A model's own chat template, run as transformers runs it (jinja.h), or one of the well-known templates by name. Encoding
// knows which text is the template's and which is a message's: control tokens are recognised in the template's text alone,
// so that "<|im_end|>" in a content cannot end a message; labels stand on what the assistant says. Immutable; safe from
// several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/jinja/jinja.h"
#include "data/tokenizer/tokenizer.h"

namespace sotto::data {

enum class GenerationPrompt { kNo, kYes };  // whether the assistant's opening is appended, for the model to go on

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
  // `setting`: empty for the template that the model brings (tokenizer.spec().chat_template), or one of named_templates().
  // Either may be followed by a date, "@2024-07-26", for templates that ask for today's; they find none otherwise (some then
  // have a date of their own), so that a record is the same on every day.
  // Refused: no template, one that needs what jinja.h does not do, one that does not show what a user and the assistant say,
  // a named one whose control tokens the vocabulary does not have. `tokenizer` must outlive the template.
  static Result<ChatTemplate> make(const Tokenizer& tokenizer, const std::string& setting = {});

  // The text as Jinja renders it. This and what follows fails when the template refuses the messages (some know no system
  // message, most want user and assistant in turn).
  Result<std::string> render(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  // What transformers' apply_chat_template gives: control tokens are recognised wherever they stand, in contents too.
  Result<std::vector<std::int32_t>> ids_recognised(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  // The same ids where no content spells a control token; contents are spelled out. Labels are on each assistant message's
  // content and on what ends it: the control token behind it.
  Result<Example> encode(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  Result<std::vector<std::int32_t>> ids(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;  // encode's
  Result<Example> example(std::span<const ChatMessage> messages) const { return encode(messages, GenerationPrompt::kNo); }

 private:
  ChatTemplate(const Tokenizer& tokenizer, Jinja jinja, std::optional<Date> today);
  Result<MarkedText> run(std::span<const ChatMessage> messages, GenerationPrompt prompt) const;
  Result<void> probe(const std::string& name) const;

  const Tokenizer* tokenizer_;
  Jinja jinja_;
  std::optional<Date> today_;
};

}  // namespace sotto::data
