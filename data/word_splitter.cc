#include "data/word_splitter.h"

#include <string>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

namespace sotto::data {
namespace {

// Unicode's White_Space, spelled out because PCRE2's \s adds U+180E, which the reference's does not.
#define SOTTO_SPACES \
  "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define SOTTO_BEFORE_NUMBERS "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+|"
#define SOTTO_AFTER_NUMBERS "| ?[^" SOTTO_SPACES "\\p{L}\\p{N}]+|[" SOTTO_SPACES "]+"
#define SOTTO_REST "|[" SOTTO_SPACES "]+"

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
constexpr const char* kGpt2Pattern =
    SOTTO_BEFORE_NUMBERS " ?\\p{N}+" SOTTO_AFTER_NUMBERS "(?![^" SOTTO_SPACES "])" SOTTO_REST;

// Splitting every number character off and then running the expression on each piece is the same as one run in which a
// number takes no space before it and a number ends white space as the end of the text does.
constexpr const char* kDigitsPattern =
    SOTTO_BEFORE_NUMBERS "\\p{N}" SOTTO_AFTER_NUMBERS "(?![^" SOTTO_SPACES "\\p{N}])" SOTTO_REST;

#undef SOTTO_SPACES
#undef SOTTO_BEFORE_NUMBERS
#undef SOTTO_AFTER_NUMBERS
#undef SOTTO_REST

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

struct WordSplitter::State {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

WordSplitter::WordSplitter(PreTokenizer kind) : state_(std::make_unique<State>()) {
  const char* pattern = kind == PreTokenizer::kGpt2 ? kGpt2Pattern : kDigitsPattern;
  int error = 0;
  PCRE2_SIZE offset = 0;
  state_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr));
  if (!state_->code)
    throw Failure("PCRE2 error " + std::to_string(error) + " at " + std::to_string(offset) + " of the splitter");
  pcre2_jit_compile(state_->code.get(), PCRE2_JIT_COMPLETE);  // without JIT, matching works too
}

WordSplitter::WordSplitter(WordSplitter&&) noexcept = default;
WordSplitter& WordSplitter::operator=(WordSplitter&&) noexcept = default;
WordSplitter::~WordSplitter() = default;

std::vector<std::string_view> WordSplitter::split(std::string_view text) const {
  std::vector<std::string_view> words;
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  if (!match) throw Failure("PCRE2 has no memory");
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    const int found = pcre2_match(state_->code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found < 1) throw Failure("PCRE2 error " + std::to_string(found) + " while splitting text into words");
    const std::size_t end = pcre2_get_ovector_pointer(match.get())[1];
    SOTTO_CHECK(end > at);
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace sotto::data
