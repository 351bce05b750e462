// A text as patterns read it: Unicode's hyphens and dashes as '-', its spaces as ' ', invisible characters left out; and where
// each byte of it stood in the text. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sotto::curation {

struct PlainText {
  std::string text;
  std::vector<std::size_t> origin;  // of each byte, and one more: the original's size
};
PlainText plain_text(std::string_view original);  // well-formed UTF-8

}  // namespace sotto::curation
