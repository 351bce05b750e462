#include "data/jinja/jinja_lexer.h"

#include <algorithm>
#include <cctype>

#include "data/text/utf8.h"

namespace sotto::data::jinja {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }
bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string unix_line_breaks(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : in_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < in_.size()) {
      const std::size_t open = next_tag();
      text_until(open);
      if (open == in_.size()) break;
      SOTTO_TRY_VOID(tag());
    }
    put(Token::Kind::kEnd, "");
    return std::move(out_);
  }

 private:
  void put(Token::Kind kind, std::string text) { out_.push_back({kind, std::move(text), line()}); }
  std::size_t line() {
    for (; counted_ < at_; ++counted_) line_ += in_[counted_] == '\n' ? 1 : 0;
    return line_;
  }
  Error wrong(const std::string& what) { return invalid("line " + std::to_string(line()) + ": " + what); }
  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  std::size_t next_tag() const {
    for (std::size_t at = in_.find('{', at_); at < in_.size(); at = in_.find('{', at + 1))
      if (at + 1 < in_.size() && (in_[at + 1] == '{' || in_[at + 1] == '%' || in_[at + 1] == '#')) return at;
    return in_.size();
  }

  // The text before a tag, less what the tag's "-" or, before blocks and comments, lstrip_blocks takes.
  void text_until(std::size_t open) {
    std::string_view text = in_.substr(at_, open - at_);
    if (open < in_.size()) {
      const char sign = open + 2 < in_.size() ? in_[open + 2] : ' ';
      if (sign == '-') {
        while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      } else if (sign != '+' && in_[open + 1] != '{') {
        const auto line_start = text.rfind('\n') + 1;  // npos + 1 is 0
        const bool starts_line = line_start > 0 || at_line_start_;
        if (starts_line && text.find_first_not_of(kSpace, line_start) == std::string_view::npos)
          text = text.substr(0, line_start);
      }
    }
    if (!text.empty()) put(Token::Kind::kText, std::string(text));
    at_ = open;
  }

  Result<void> tag() {
    const char kind = in_[at_ + 1];
    if (kind == '#') return comment();
    put(kind == '{' ? Token::Kind::kOutputBegin : Token::Kind::kBlockBegin, "");
    at_ += 2;
    if (next_is("-") || next_is("+")) ++at_;
    const std::string_view close = kind == '{' ? "}}" : "%}";
    int braces = 0;  // of dictionaries inside
    while (at_ < in_.size()) {
      if (is_space(in_[at_])) {
        ++at_;
        continue;
      }
      const bool sign = (in_[at_] == '-' || in_[at_] == '+') && in_.substr(at_ + 1).starts_with(close);
      if (braces == 0 && (sign || next_is(close))) {
        put(kind == '{' ? Token::Kind::kOutputEnd : Token::Kind::kBlockEnd, "");
        const char how = sign ? in_[at_] : ' ';
        at_ += sign ? 3 : 2;
        after_tag(how, kind != '{');
        return {};
      }
      if (in_[at_] == '{') ++braces;
      if (in_[at_] == '}') --braces;
      SOTTO_TRY_VOID(token());
    }
    return wrong("a tag without an end");
  }

  Result<void> comment() {
    const auto close = in_.find("#}", at_ + 2);
    if (close == std::string_view::npos) return wrong("a comment without an end");
    const char how = close > at_ + 2 ? in_[close - 1] : ' ';
    at_ = close + 2;
    after_tag(how, true);
    return {};
  }

  void after_tag(char sign, bool trims) {
    const std::size_t from = at_;
    if (sign == '-')
      while (at_ < in_.size() && is_space(in_[at_])) ++at_;
    else if (trims && sign != '+' && next_is("\n"))
      ++at_;
    at_line_start_ = at_ > from && in_[at_ - 1] == '\n';
  }

  Result<void> token() {
    const char c = in_[at_];
    if (c == '\'' || c == '"') return string(c);
    if (is_name_start(c) || is_digit(c)) {
      const std::size_t from = at_;
      while (at_ < in_.size() && (is_name_start(in_[at_]) || is_digit(in_[at_]))) ++at_;
      std::string text(in_.substr(from, at_ - from));
      const bool number = is_digit(c);
      if (number && (text.size() > 9 || !std::ranges::all_of(text, is_digit) || next_is(".")))
        return wrong("the number '" + text + "', which this version does not read");
      put(number ? Token::Kind::kInteger : Token::Kind::kName, std::move(text));
      return {};
    }
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (!next_is(two)) continue;
      put(Token::Kind::kOperator, std::string(two));
      at_ += 2;
      return {};
    }
    if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == std::string_view::npos)
      return wrong("the character '" + std::string(1, c) + "'");
    put(Token::Kind::kOperator, std::string(1, c));
    ++at_;
    return {};
  }

  Result<void> string(char quote) {
    std::string text;
    for (++at_; at_ < in_.size() && in_[at_] != quote; ++at_) {
      if (in_[at_] != '\\') {
        text += in_[at_];
        continue;
      }
      if (++at_ >= in_.size()) break;
      switch (in_[at_]) {
        case 'n': text += '\n'; break;
        case 't': text += '\t'; break;
        case 'r': text += '\r'; break;
        case '\\':
        case '\'':
        case '"': text += in_[at_]; break;
        case '\n': break;
        case 'u': {
          SOTTO_TRY_VOID(code_point(text));
          break;
        }
        default:
          if (std::isalnum(static_cast<unsigned char>(in_[at_])) != 0)
            return wrong("the escape '\\" + std::string(1, in_[at_]) + "'");
          text.append("\\").append(1, in_[at_]);  // Python leaves it as it is
      }
    }
    if (at_ >= in_.size()) return wrong("a string without an end");
    ++at_;
    put(Token::Kind::kString, std::move(text));
    return {};
  }

  Result<void> code_point(std::string& text) {
    char32_t c = 0;
    const std::string_view digits = in_.substr(std::min(in_.size(), at_ + 1), 4);
    if (digits.size() != 4 ||
        !std::ranges::all_of(digits, [](char d) { return std::isxdigit(static_cast<unsigned char>(d)) != 0; }))
      return wrong("the escape '\\u'");
    for (const char d : digits) c = c * 16 + static_cast<char32_t>(is_digit(d) ? d - '0' : (d | 0x20) - 'a' + 10);
    if (c >= 0xd800 && c < 0xe000) return wrong("the escape '\\u" + std::string(digits) + "'");
    append_utf8(text, c);
    at_ += 4;
    return {};
  }

  std::string_view in_;
  std::size_t at_ = 0;
  bool at_line_start_ = true;
  std::size_t counted_ = 0;  // up to where line breaks are in line_
  std::size_t line_ = 1;
  std::vector<Token> out_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  const std::string text = unix_line_breaks(source);
  return Lexer(text).run();
}

}  // namespace sotto::data::jinja
