// Parses the expressions inside a template's tags, with Jinja's precedences. Private to jinja*.cc.
#pragma once

#include <vector>

#include "data/jinja/jinja_ast.h"

namespace sotto::data::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  const Token& next() const { return tokens_[at_]; }
  bool is(Token::Kind kind) const { return next().kind == kind; }
  bool is_operator(std::string_view text) const { return is(Token::Kind::kOperator) && next().text == text; }
  bool is_name(std::string_view text) const { return is(Token::Kind::kName) && next().text == text; }
  bool take_operator(std::string_view text);
  bool take_name(std::string_view text);
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }  // the last, kEnd, stays
  Result<void> expect_operator(std::string_view text);
  Result<std::string> expect_name();
  Error wrong(const std::string& wanted) const;

  Result<ExpressionPtr> expression();  // with "x if c else y"
  Result<ExpressionPtr> expression_without_choice();

 private:
  Result<ExpressionPtr> or_();
  Result<ExpressionPtr> and_();
  Result<ExpressionPtr> not_();
  Result<ExpressionPtr> comparison();
  Result<ExpressionPtr> sum();
  Result<ExpressionPtr> concatenation();
  Result<ExpressionPtr> product();
  Result<ExpressionPtr> unary();
  Result<ExpressionPtr> primary();
  Result<ExpressionPtr> literal_name(const Token& token);
  Result<ExpressionPtr> list(std::string_view close);
  Result<ExpressionPtr> dictionary();
  Result<ExpressionPtr> postfix(ExpressionPtr value);
  Result<ExpressionPtr> subscript(ExpressionPtr value);
  Result<ExpressionPtr> filter_or_test(ExpressionPtr value);
  Result<void> arguments(Expression& call);

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace sotto::data::jinja
