// What the readers of tokenizer.json share: questions to a JSON value, and the refusal of what is not read. Private to
// `data`.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data::hugging_face {

inline Error refuse(const std::string& origin, const std::string& setting, const Json* value) {
  std::string text = value == nullptr ? "missing" : value->dump();
  if (text.size() > 120) text = text.substr(0, 120) + "...";
  return unsupported(origin + ": '" + setting + "' is " + text + ", which this version does not read");
}

inline bool absent(const Json* value) { return value == nullptr || value->is_null(); }
inline bool is_text(const Json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->as_string() == text;
}
inline bool is_false(const Json* value) { return absent(value) || (value->is_bool() && !value->as_bool()); }
inline bool is_true(const Json* value) { return value != nullptr && value->is_bool() && value->as_bool(); }

// Each reads one part of tokenizer.json into a specification, or refuses the step by its name. `json` is the whole file.
Result<void> read_normalizer(TokenizerSpec& spec, const Json& json, const std::string& origin);
Result<void> read_pre_tokenizer(TokenizerSpec& spec, const Json& json, const std::string& origin);
Result<void> read_decoder(TokenizerSpec& spec, const Json& json, const std::string& origin);
Result<void> read_post_processor(TokenizerSpec& spec, const Json& json, const std::string& origin);

// The flags of an added token, with the defaults of `tokenizers`; its id is not read. `text`: its content.
Result<AddedToken> added_token(const Json& json, const std::string& text, const std::string& origin);
// What the files beside tokenizer.json add to what it says (hugging_face_companions.cc).
Result<void> read_companions(TokenizerSpec& spec, const std::string& folder);

}  // namespace sotto::data::hugging_face
