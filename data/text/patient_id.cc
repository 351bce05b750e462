#include "data/text/patient_id.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "base/check.h"

namespace sotto::data {
namespace {

bool is_invisible(UChar32 c) {
  return u_hasBinaryProperty(c, UCHAR_WHITE_SPACE) != 0 || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0 ||
         u_iscntrl(c) != 0;
}

icu::UnicodeString from_utf8(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())});
}

std::string to_utf8(const icu::UnicodeString& text) {
  std::string out;
  return text.toUTF8String(out);
}

icu::UnicodeString normalized(const icu::Normalizer2* (*form)(UErrorCode&), const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* normalizer = form(status);
  SOTTO_CHECK(U_SUCCESS(status));
  auto out = normalizer->normalize(text, status);
  SOTTO_CHECK(U_SUCCESS(status));
  return out;
}

icu::UnicodeString trimmed(icu::UnicodeString text) {
  std::int32_t begin = 0, end = text.length();
  while (begin < end && is_invisible(text.char32At(begin))) begin = text.moveIndex32(begin, 1);
  while (end > begin && is_invisible(text.char32At(text.moveIndex32(end, -1)))) end = text.moveIndex32(end, -1);
  return {text, begin, end - begin};
}

}  // namespace

Result<std::string> patient_id(std::string_view raw) {
  const auto id = trimmed(normalized(icu::Normalizer2::getNFCInstance, from_utf8(raw)));
  if (id.isEmpty()) return invalid("the id is blank");
  return to_utf8(id);
}

std::string loose_patient_id(std::string_view id) {
  const auto folded = trimmed(normalized(icu::Normalizer2::getNFKCCasefoldInstance, from_utf8(id)));
  icu::UnicodeString out;
  bool space = false;
  for (std::int32_t at = 0; at < folded.length(); at = folded.moveIndex32(at, 1)) {
    const UChar32 c = folded.char32At(at);
    const bool is_space = u_hasBinaryProperty(c, UCHAR_WHITE_SPACE) != 0;
    if (is_space && space) continue;
    out.append(is_space ? UChar32{' '} : c);
    space = is_space;
  }
  return to_utf8(out);
}

}  // namespace sotto::data
