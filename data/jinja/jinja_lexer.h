// Cuts a template's source into text and the tokens inside its tags. Private to jinja*.cc. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto::data::jinja {

struct Token {
  enum class Kind { kText, kOutputBegin, kOutputEnd, kBlockBegin, kBlockEnd, kName, kString, kInteger, kOperator, kEnd };
  Kind kind;
  std::string text;  // of kString: what it stands for
  std::size_t line;
};

// White space around tags is already gone where the tags or trim_blocks and lstrip_blocks say so. The last token is kEnd.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace sotto::data::jinja
