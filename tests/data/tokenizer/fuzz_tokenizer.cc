// Fuzzing the reader of tokenizer.json: whatever the bytes are, reading ends, with an error that names the file or with a
// tokenizer whose ids are all in its vocabulary.
#include "base/check.h"
#include "base/json.h"
#include "data/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace sotto;
  const auto json = Json::parse(std::string_view(reinterpret_cast<const char*>(bytes), size), "fuzz");
  if (!json.ok()) return 0;
  auto spec = data::tokenizer_spec(*json, "fuzz");
  if (!spec.ok()) {
    SOTTO_CHECK(!spec.error().message.empty());
    return 0;
  }
  const auto tokenizer = data::Tokenizer::make(std::move(*spec));
  if (!tokenizer.ok()) {
    SOTTO_CHECK(!tokenizer.error().message.empty());
    return 0;
  }
  for (const std::string_view text : {"", " a  b\n",
                                      "Gr\xc3\xbc\xc3\x9f"
                                      "e 12 \xf0\x9f\x98\x80</s><s>",
                                      "\xff\xe2\x96\x81"})
    for (const auto control : {data::ControlTokens::kRecognise, data::ControlTokens::kAsPlainText}) {
      const auto ids = tokenizer->encode(text, control, data::Ends::kAsModel);
      for (const auto id : ids) SOTTO_CHECK(id >= 0 && static_cast<std::size_t>(id) < tokenizer->size());
      SOTTO_CHECK(tokenizer->decode(ids).ok());
    }
  return 0;
}
