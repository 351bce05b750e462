#include "data/text/regex.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"

namespace sotto::data {
namespace {

// Unicode's White_Space, spelled out because PCRE2's \s adds U+180E, which the reference's does not.
constexpr std::string_view kSpaces =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view kDigits = "\\p{Nd}";
constexpr std::string_view kWordCharacters = "\\p{L}\\p{M}\\p{Nd}\\p{Pc}";

constexpr std::string_view kCategories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N", "Nd",
                                            "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm",
                                            "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co"};

// Rewrites a pattern piece by piece; `at_` is what comes next.
class Translation {
 public:
  explicit Translation(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        SOTTO_TRY_VOID(escape(false));
      } else if (c == '[') {
        SOTTO_TRY_VOID(character_class());
      } else if (c == '(') {
        SOTTO_TRY_VOID(group());
      } else if (c == '{') {
        SOTTO_TRY_VOID(repetition());
      } else if (c == '^' || c == '$') {  // Ruby's match at every line
        return refuse("'" + std::string(1, c) + "'");
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

 private:
  Error refuse(const std::string& what) const {
    return unsupported("the regular expression '" + std::string(in_.substr(0, 200)) + "' has " + what + " at byte " +
                       std::to_string(at_) + ", which this version does not read");
  }

  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void copy(std::size_t n) {
    out_ += in_.substr(at_, n);
    at_ += n;
  }
  void put(std::string_view text, bool in_class, bool negated = false) {
    if (in_class)
      out_ += text;
    else
      out_.append(negated ? "[^" : "[").append(text).append("]");
  }

  Result<void> escape(bool in_class) {
    if (at_ + 1 >= in_.size()) return refuse("a backslash");
    const char c = in_[at_ + 1];
    if (c == 'p' || c == 'P') return property();
    if (c == 'x') return code_point();
    if ((c == 'S' || c == 'D' || c == 'W') && in_class) return refuse("a negated class inside a class");
    if (c == 's' || c == 'S') {
      put(kSpaces, in_class, c == 'S');
    } else if (c == 'd' || c == 'D') {
      put(kDigits, in_class, c == 'D');
    } else if (c == 'w' || c == 'W') {
      put(kWordCharacters, in_class, c == 'W');
    } else if (c == 'r' || c == 'n' || c == 't' || c == 'f' || (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
               (c >= '[' && c <= '`') || (c >= '{' && c <= '~') || c == ' ') {
      copy(2);
      return {};
    } else {
      return refuse("'\\" + std::string(1, c) + "'");
    }
    at_ += 2;
    return {};
  }

  Result<void> property() {
    const auto close = in_.find('}', at_);
    if (!in_.substr(at_ + 2).starts_with('{') || close == std::string_view::npos) return refuse("a property");
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    if (name.starts_with('^')) name.remove_prefix(1);
    if (std::ranges::find(kCategories, name) == std::end(kCategories))
      return refuse("the property '" + std::string(name) + "'");
    copy(close + 1 - at_);
    return {};
  }

  Result<void> code_point() {  // \x{..}; two bare digits would be a byte there and a character here
    const auto close = in_.find('}', at_);
    if (!in_.substr(at_ + 2).starts_with('{') || close == std::string_view::npos) return refuse("'\\x'");
    copy(close + 1 - at_);
    return {};
  }

  Result<void> character_class() {
    copy(1);
    if (next_is("^")) copy(1);
    if (next_is("]")) return refuse("an empty class");
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '\\') {
        SOTTO_TRY_VOID(escape(true));
      } else if (in_[at_] == '[' || next_is("&&")) {
        return refuse("a class inside a class");
      } else {
        copy(1);
      }
    }
    if (at_ >= in_.size()) return refuse("a class without an end");
    copy(1);
    return {};
  }

  Result<void> group() {
    if (!next_is("(?")) {
      out_ += "(?:";  // nothing refers to a group
      ++at_;
      return {};
    }
    for (const std::string_view known : {"(?:", "(?i:", "(?=", "(?!", "(?>"}) {
      if (!next_is(known)) continue;
      copy(known.size());
      return {};
    }
    return refuse("a group '" + std::string(in_.substr(at_, 4)) + "'");
  }

  Result<void> repetition() {
    const auto close = in_.find('}', at_);
    const auto inside = in_.substr(at_ + 1, close == std::string_view::npos ? 0 : close - at_ - 1);
    if (inside.empty() || inside.front() < '0' || inside.front() > '9' ||
        inside.find_first_not_of("0123456789,") != std::string_view::npos)
      return refuse("a brace");
    if (close + 1 < in_.size() && in_[close + 1] == '+') return refuse("'{..}+'");  // possessive here, greedy twice there
    copy(close + 1 - at_);
    return {};
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
};

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

}  // namespace

struct Regex::State {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

Regex::Regex(std::unique_ptr<State> state) : state_(std::move(state)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::make(const std::string& pattern) {
  SOTTO_TRY(const std::string translated, Translation(pattern).run());
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto state = std::make_unique<State>();
  state->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), PCRE2_UTF | PCRE2_UCP,
                                  &error, &offset, nullptr));
  if (!state->code)
    return invalid("the regular expression '" + pattern.substr(0, 200) + "' is not well-formed (PCRE2 error " +
                   std::to_string(error) + ")");
  pcre2_jit_compile(state->code.get(), PCRE2_JIT_COMPLETE);  // without JIT, matching works too
  return Regex(std::move(state));
}

void Regex::find_all(std::string_view text, std::vector<Span>& out) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> match(pcre2_match_data_create(1, nullptr));
  if (!match) throw Failure("PCRE2 has no memory");
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    const int found =
        pcre2_match(state_->code.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 1) throw Failure("PCRE2 error " + std::to_string(found) + " while splitting text into words");
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
    out.push_back({ends[0], ends[1]});
    at = ends[1];
  }
}

}  // namespace sotto::data
