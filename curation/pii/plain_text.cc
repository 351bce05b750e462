#include "curation/pii/plain_text.h"

#include <unicode/uchar.h>

#include "data/text/utf8.h"

namespace sotto::curation {

PlainText plain_text(std::string_view original) {
  PlainText out;
  out.text.reserve(original.size());
  out.origin.reserve(original.size() + 1);
  for (std::size_t at = 0; at < original.size();) {
    const std::size_t begin = at;
    const auto c = static_cast<UChar32>(data::next_code_point(original, at));
    const auto kind = u_charType(c);
    const bool dash = kind == U_DASH_PUNCTUATION || c == 0x2212;
    if (c >= 0x80 && (dash || kind == U_SPACE_SEPARATOR)) {
      out.text += dash ? '-' : ' ';
      out.origin.push_back(begin);
    } else if (c >= 0x80 && u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0) {
      continue;
    } else {
      for (std::size_t i = begin; i < at; ++i) out.origin.push_back(i);
      out.text.append(original, begin, at - begin);
    }
  }
  out.origin.push_back(original.size());
  return out;
}

}  // namespace sotto::curation
