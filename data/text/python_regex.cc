#include "data/text/python_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

namespace sotto::data {
namespace {

constexpr std::size_t kLongestExpression = 4096;
constexpr std::uint32_t kDeepestNesting = 50;       // of parentheses
constexpr std::uint32_t kMostSteps = 20'000;        // of one match: below a millisecond
constexpr std::uint32_t kMostMemoryKib = 8 * 1024;  // of one match

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>>;

std::string reason(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

struct PythonRegex::State {
  Code code;
  MatchContext limits;
  std::string expression;
  std::string origin;
};

PythonRegex::PythonRegex(std::unique_ptr<State> state) : state_(std::move(state)) {}
PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;
PythonRegex::~PythonRegex() = default;

Result<PythonRegex> PythonRegex::compile(std::string_view expression, Extent extent, std::string origin) {
  if (expression.size() > kLongestExpression)
    return invalid(origin + ": the expression has " + std::to_string(expression.size()) + " characters; at most " +
                   std::to_string(kLongestExpression) + " are read");
  const CompileContext context(pcre2_compile_context_create(nullptr));
  SOTTO_CHECK(context != nullptr);
  pcre2_set_parens_nest_limit(context.get(), kDeepestNesting);
  // No \C, no callouts and no verbs: what they do is not Python's.
  const std::uint32_t options =
      PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED | (extent == Extent::kWhole ? PCRE2_ENDANCHORED : 0U);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto state = std::make_unique<State>();
  state->code.reset(pcre2_compile(units(expression), expression.size(), options, &error, &offset, context.get()));
  if (!state->code)
    return invalid(origin + ": \"" + std::string(expression) + "\" is no regular expression (" + reason(error) +
                   " at character " + std::to_string(offset) + ")");
  state->limits.reset(pcre2_match_context_create(nullptr));
  SOTTO_CHECK(state->limits != nullptr);
  pcre2_set_match_limit(state->limits.get(), kMostSteps);
  pcre2_set_heap_limit(state->limits.get(), kMostMemoryKib);
  state->expression = expression;
  state->origin = std::move(origin);
  return PythonRegex(std::move(state));
}

Result<std::optional<std::string>> PythonRegex::match(std::string_view text, const std::string& group) const {
  const MatchData data(pcre2_match_data_create_from_pattern(state_->code.get(), nullptr));
  SOTTO_CHECK(data != nullptr);
  const int found = pcre2_match(state_->code.get(), units(text), text.size(), 0, 0, data.get(), state_->limits.get());
  if (found == PCRE2_ERROR_NOMATCH) return std::optional<std::string>();
  if (found < 0)
    return invalid(state_->origin + ": matching \"" + state_->expression + "\" against '" + std::string(text) +
                   "' failed (" + reason(found) + "); write a simpler expression");
  const int number =
      group.empty() ? 0 : pcre2_substring_number_from_name(state_->code.get(), reinterpret_cast<PCRE2_SPTR>(group.c_str()));
  if (number < 0)
    return invalid(state_->origin + ": \"" + state_->expression + "\" must not name the group '" + group + "' itself");
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get()) + 2 * number;
  if (number >= found || ends[0] == PCRE2_UNSET || ends[0] > ends[1]) return std::optional<std::string>("");
  return std::optional<std::string>(text.substr(ends[0], ends[1] - ends[0]));
}

}  // namespace sotto::data
