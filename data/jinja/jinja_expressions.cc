#include "data/jinja/jinja_expressions.h"

#include <algorithm>
#include <array>

namespace sotto::data::jinja {
namespace {

using Kind = Expression::Kind;
constexpr int kMaxDepth = 60;

std::unique_ptr<Expression> make(Kind kind, std::size_t line, std::string text = {}) {
  auto out = std::make_unique<Expression>();
  out->kind = kind;
  out->line = line;
  out->text = std::move(text);
  return out;
}

ExpressionPtr binary(std::string op, ExpressionPtr left, ExpressionPtr right) {
  auto out = make(Kind::kBinary, left->line, std::move(op));
  out->parts.push_back(std::move(left));
  out->parts.push_back(std::move(right));
  return out;
}

ExpressionPtr with_part(Kind kind, ExpressionPtr part, std::string text = {}) {
  auto out = make(kind, part->line, std::move(text));
  out->parts.push_back(std::move(part));
  return out;
}

}  // namespace

bool ExpressionParser::take_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  take();
  return true;
}

bool ExpressionParser::take_name(std::string_view text) {
  if (!is_name(text)) return false;
  take();
  return true;
}

Error ExpressionParser::wrong(const std::string& wanted) const {
  return invalid("line " + std::to_string(next().line) + ": " + wanted + " is wanted, not '" + next().text + "'");
}

Result<void> ExpressionParser::expect_operator(std::string_view text) {
  if (!take_operator(text)) return wrong("'" + std::string(text) + "'");
  return {};
}

Result<std::string> ExpressionParser::expect_name() {
  if (!is(Token::Kind::kName)) return wrong("a name");
  return take().text;
}

Result<ExpressionPtr> ExpressionParser::expression() {
  if (++depth_ > kMaxDepth) return invalid("line " + std::to_string(next().line) + ": expressions nested too deeply");
  SOTTO_TRY(auto value, or_());
  while (take_name("if")) {
    SOTTO_TRY(auto condition, or_());
    auto out = make(Kind::kChoice, value->line);
    out->parts.push_back(std::move(value));
    out->parts.push_back(std::move(condition));
    out->parts.push_back(nullptr);
    if (take_name("else")) {
      SOTTO_TRY(out->parts.back(), expression());
    }
    value = std::move(out);
  }
  --depth_;
  return value;
}

Result<ExpressionPtr> ExpressionParser::expression_without_choice() { return or_(); }

Result<ExpressionPtr> ExpressionParser::or_() {
  SOTTO_TRY(auto left, and_());
  while (take_name("or")) {
    SOTTO_TRY(auto right, and_());
    left = binary("or", std::move(left), std::move(right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::and_() {
  SOTTO_TRY(auto left, not_());
  while (take_name("and")) {
    SOTTO_TRY(auto right, not_());
    left = binary("and", std::move(left), std::move(right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::not_() {
  bool negate = false;
  while (take_name("not")) negate = !negate;
  SOTTO_TRY(auto value, comparison());
  // "not not x" is not x itself but whether it is true; no template says it.
  return negate ? with_part(Kind::kNot, std::move(value)) : std::move(value);
}

Result<ExpressionPtr> ExpressionParser::comparison() {
  constexpr std::array<std::string_view, 6> kComparisons = {"==", "!=", "<", "<=", ">", ">="};
  SOTTO_TRY(auto left, sum());
  bool compared = false;
  while (true) {
    const bool negate = is_name("not");
    if (negate) {
      take();
      if (!is_name("in")) return wrong("'in'");
    }
    const bool in = take_name("in");
    if (!in && !(is(Token::Kind::kOperator) && std::ranges::find(kComparisons, next().text) != kComparisons.end())) break;
    if (compared) return wrong("one comparison at a time");
    compared = true;
    std::string op = in ? "in" : take().text;
    SOTTO_TRY(auto right, sum());
    left = binary(std::move(op), std::move(left), std::move(right));
    if (negate) left = with_part(Kind::kNot, std::move(left));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::sum() {
  SOTTO_TRY(auto left, concatenation());
  while (is_operator("+") || is_operator("-")) {
    std::string op = take().text;
    SOTTO_TRY(auto right, concatenation());
    left = binary(std::move(op), std::move(left), std::move(right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::concatenation() {
  SOTTO_TRY(auto left, product());
  while (take_operator("~")) {
    SOTTO_TRY(auto right, product());
    left = binary("~", std::move(left), std::move(right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::product() {
  SOTTO_TRY(auto left, unary());
  while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
    std::string op = take().text;
    SOTTO_TRY(auto right, unary());
    left = binary(std::move(op), std::move(left), std::move(right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::unary() {
  if (is_operator("-")) {
    take();
    SOTTO_TRY(auto value, primary());
    SOTTO_TRY(value, postfix(std::move(value)));
    return with_part(Kind::kNegative, std::move(value));
  }
  SOTTO_TRY(auto value, primary());
  return postfix(std::move(value));
}

Result<ExpressionPtr> ExpressionParser::primary() {
  const Token token = next();
  if (is(Token::Kind::kName)) return literal_name(take());
  if (is(Token::Kind::kInteger)) {
    auto out = make(Kind::kInteger, token.line);
    out->number = std::stoll(take().text);
    return ExpressionPtr(std::move(out));
  }
  if (is(Token::Kind::kString)) {
    auto out = make(Kind::kString, token.line);
    while (is(Token::Kind::kString)) out->text += take().text;
    return ExpressionPtr(std::move(out));
  }
  if (take_operator("[")) return list("]");
  if (take_operator("{")) return dictionary();
  if (take_operator("(")) {
    SOTTO_TRY(auto value, expression());
    if (is_operator(",")) return wrong("')'; tuples are not in this version, which");
    SOTTO_TRY_VOID(expect_operator(")"));
    return value;
  }
  return wrong("a value");
}

Result<ExpressionPtr> ExpressionParser::literal_name(const Token& token) {
  return ExpressionPtr(make(Kind::kName, token.line, token.text));
}

Result<ExpressionPtr> ExpressionParser::list(std::string_view close) {
  auto out = make(Kind::kList, next().line);
  while (!take_operator(close)) {
    SOTTO_TRY(auto item, expression());
    out->parts.push_back(std::move(item));
    if (!is_operator(close)) SOTTO_TRY_VOID(expect_operator(","));
  }
  return ExpressionPtr(std::move(out));
}

Result<ExpressionPtr> ExpressionParser::dictionary() {
  auto out = make(Kind::kDictionary, next().line);
  while (!take_operator("}")) {
    SOTTO_TRY(auto key, expression());
    SOTTO_TRY_VOID(expect_operator(":"));
    SOTTO_TRY(auto value, expression());
    out->parts.push_back(std::move(key));
    out->parts.push_back(std::move(value));
    if (!is_operator("}")) SOTTO_TRY_VOID(expect_operator(","));
  }
  return ExpressionPtr(std::move(out));
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr value) {
  while (true) {
    if (take_operator(".")) {
      SOTTO_TRY(auto name, expect_name());
      value = with_part(Kind::kAttribute, std::move(value), std::move(name));
    } else if (take_operator("[")) {
      SOTTO_TRY(value, subscript(std::move(value)));
    } else if (take_operator("(")) {
      auto call = make(Kind::kCall, value->line);
      call->parts.push_back(std::move(value));
      SOTTO_TRY_VOID(arguments(*call));
      value = std::move(call);
    } else if (is_operator("|") || is_name("is")) {
      SOTTO_TRY(value, filter_or_test(std::move(value)));
    } else {
      return value;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr value) {
  auto out = make(Kind::kSubscript, value->line);
  out->parts.push_back(std::move(value));
  const auto bound = [&]() -> Result<ExpressionPtr> {
    if (is_operator(":") || is_operator("]")) return ExpressionPtr();
    return expression();
  };
  SOTTO_TRY(auto first, bound());
  out->parts.push_back(std::move(first));
  while (take_operator(":")) {
    out->kind = Kind::kSlice;
    SOTTO_TRY(auto part, bound());
    out->parts.push_back(std::move(part));
  }
  if (out->kind == Kind::kSlice) out->parts.resize(std::max<std::size_t>(out->parts.size(), 4));
  if (out->parts.size() > 4 || (out->kind == Kind::kSubscript && out->parts[1] == nullptr)) return wrong("a subscript");
  SOTTO_TRY_VOID(expect_operator("]"));
  return ExpressionPtr(std::move(out));
}

Result<ExpressionPtr> ExpressionParser::filter_or_test(ExpressionPtr value) {
  const bool test = take().text == "is";
  const bool negate = test && take_name("not");
  auto out = make(test ? Kind::kTest : Kind::kFilter, value->line);
  out->parts.push_back(std::move(value));
  SOTTO_TRY(out->text, expect_name());
  if (take_operator("(")) {
    SOTTO_TRY_VOID(arguments(*out));
  } else if (test && (out->text == "in" || out->text == "eq" || out->text == "equalto" || out->text == "divisibleby")) {
    SOTTO_TRY(auto argument, primary());
    out->parts.push_back(std::move(argument));
  }
  if (!negate) return ExpressionPtr(std::move(out));
  return with_part(Kind::kNot, std::move(out));
}

Result<void> ExpressionParser::arguments(Expression& call) {
  while (!take_operator(")")) {
    if (is(Token::Kind::kName) && tokens_[at_ + 1].kind == Token::Kind::kOperator && tokens_[at_ + 1].text == "=") {
      call.keywords.push_back(take().text);
      take();
    } else if (!call.keywords.empty()) {
      return wrong("an argument by name");
    }
    SOTTO_TRY(auto argument, expression());
    call.parts.push_back(std::move(argument));
    if (!is_operator(")")) SOTTO_TRY_VOID(expect_operator(","));
  }
  return {};
}

}  // namespace sotto::data::jinja
