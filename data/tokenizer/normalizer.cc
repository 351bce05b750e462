#include "data/tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <limits>

#include "base/check.h"
#include "data/text/utf8.h"

namespace sotto::data {
namespace {

const icu::Normalizer2* normalizer_of(UnicodeForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* out = nullptr;
  switch (form) {
    case UnicodeForm::kNfc: out = icu::Normalizer2::getNFCInstance(status); break;
    case UnicodeForm::kNfd: out = icu::Normalizer2::getNFDInstance(status); break;
    case UnicodeForm::kNfkc: out = icu::Normalizer2::getNFKCInstance(status); break;
    case UnicodeForm::kNfkd: out = icu::Normalizer2::getNFKDInstance(status); break;
  }
  if (U_FAILURE(status) || out == nullptr) throw Failure(std::string("ICU has no normalizer: ") + u_errorName(status));
  return out;
}

std::string lowercase(std::string_view text) {
  constexpr char32_t kCapitalDottedI = 0x130;  // the one character whose lower case is two
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == kCapitalDottedI) {
      out += "i\xcc\x87";
      continue;
    }
    append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  }
  return out;
}

}  // namespace

std::string unicode_form(std::string_view text, UnicodeForm form) {
  if (is_ascii(text)) return std::string(text);
  SOTTO_CHECK(text.size() <= std::numeric_limits<std::int32_t>::max());
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  normalizer_of(form)->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink, nullptr,
                                     status);
  if (U_FAILURE(status)) throw Failure(std::string("ICU cannot normalize a text: ") + u_errorName(status));
  return out;
}

std::string replace_all(std::string_view text, const Matcher& matcher, std::string_view content) {
  std::vector<Regex::Span> matches;
  matcher.find_all(text, matches);
  std::string out;
  out.reserve(text.size() + matches.size() * content.size());
  std::size_t from = 0;
  for (const auto& [begin, end] : matches) {
    out.append(text.substr(from, begin - from)).append(content);
    from = end;
  }
  return out.append(text.substr(from));
}

Result<NormalizerChain> NormalizerChain::make(const std::vector<Normalizer>& steps) {
  NormalizerChain out;
  for (const auto& step : steps) {
    if (const auto* form = std::get_if<UnicodeForm>(&step)) {
      out.steps_.emplace_back(*form);
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      out.steps_.emplace_back(*prepend);
    } else if (const auto* replace = std::get_if<Replace>(&step)) {
      SOTTO_TRY(auto matcher, Matcher::make(replace->pattern));
      out.steps_.emplace_back(ReplaceStep{std::move(matcher), replace->content});
    } else {
      out.steps_.emplace_back(Lowercase{});
    }
  }
  return out;
}

std::string NormalizerChain::apply(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) {
    if (const auto* form = std::get_if<UnicodeForm>(&step)) {
      out = unicode_form(out, *form);
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      if (!out.empty()) out.insert(0, prepend->text);
    } else if (const auto* replace = std::get_if<ReplaceStep>(&step)) {
      out = replace_all(out, replace->matcher, replace->content);
    } else {
      out = lowercase(out);
    }
  }
  return out;
}

}  // namespace sotto::data
