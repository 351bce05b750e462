// The part of Jinja that chat templates are written in, rendered as transformers does it (trim_blocks, lstrip_blocks, one
// line break at the template's end dropped): text, output, if, for, set, macro, break, continue, generation; expressions
// with the usual operators, dictionaries, slices, string methods, filters and tests. A template that needs more (the JSON of
// tools, say) is refused by what it needs, when it is parsed or when it gets there. Templates come with models and are not
// trusted: the steps, the depth and the size of a rendering are bounded. Immutable after parsing; rendering from several
// threads is safe.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/jinja/marked_text.h"

namespace sotto::data {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

struct Date {
  int year = 0;
  int month = 0;  // 1 to 12
  int day = 0;    // 1 to 31
  bool operator==(const Date&) const = default;
};

namespace jinja {
struct Node;
}

class Jinja {
 public:
  static Result<Jinja> parse(std::string_view source);
  Jinja(Jinja&&) noexcept;
  Jinja& operator=(Jinja&&) noexcept;
  ~Jinja();

  struct Context {
    std::span<const ChatMessage> messages;
    bool add_generation_prompt = false;
    std::string bos_token;  // empty: undefined in the template
    std::string eos_token;
    std::optional<Date>
        today;  // none: the template finds no strftime_now, and takes the date that it has itself or is refused
  };
  // Fails as well when the template itself refuses the messages (`raise_exception`), with its words.
  Result<MarkedText> render(const Context& context) const;

 private:
  explicit Jinja(std::unique_ptr<const jinja::Node> root);
  std::unique_ptr<const jinja::Node> root_;
};

}  // namespace sotto::data
