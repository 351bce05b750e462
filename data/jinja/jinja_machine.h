// What runs a parsed template: one object a rendering. Private to jinja*.cc: statements in jinja_statements.cc, expressions
// in jinja_evaluator.cc, functions, macros, methods, filters and tests in jinja_calls.cc. Steps, depth and size are bounded.
#pragma once

#include <deque>
#include <map>

#include "data/jinja/jinja_evaluator.h"

namespace sotto::data::jinja {

class Evaluator {
 public:
  Evaluator(Members globals, const Limits& limits, const std::optional<Date>& today) : limits_(limits), today_(today) {
    scopes_.push_back(std::move(globals));
  }
  Result<MarkedText> run(const Node& root);

 private:
  enum class Flow { kOn, kBreak, kContinue };

  static Error wrong(std::size_t line, const std::string& what);
  static Error not_here(std::size_t line, const std::string& what);  // it needs what this version does not do
  Result<void> step(std::size_t line);
  Result<void> enter(std::size_t line);                    // one level deeper; depth_ is the caller's to lower
  Result<void> grow(std::size_t bytes, std::size_t line);  // what a template builds or puts out

  Result<Flow> execute(const Node& node);
  Result<Flow> execute_kind(const Node& node);
  Result<void> put(const MarkedText& text, std::size_t line);
  Result<void> set(const Node& node);
  Result<void> set_block(const Node& node);
  Result<Flow> loop(const Node& node);
  Result<List> items_of(const Node& node);
  Result<Members> bound(const Node& node, const Value& item) const;  // the loop's names
  Result<void> keep_where(const Node& node, List& items);

  const Value* find_variable(const std::string& name) const;
  Value lookup(const std::string& name) const;

  Result<Value> evaluate(const Expression& e);
  Result<Value> evaluate_kind(const Expression& e);
  Result<const Value*> object_of(const Expression& e, Value& storage);
  Result<List> all(const Expression& e, std::size_t from);
  Result<Value> dictionary(const Expression& e);
  Result<Value> counted(Value value, std::size_t line);
  Result<Value> member(const Value& object, const std::string& name, std::size_t line) const;
  Result<Value> subscript(const Expression& e);
  Result<Value> slice(const Expression& e);
  Result<Value> binary(const Expression& e);
  Result<Value> arithmetic(const Expression& e, const Value& left, const Value& right) const;
  Result<Value> joined(MarkedText left, const MarkedText& right, std::size_t line);
  Result<MarkedText> text_of(const Value& value, std::size_t line) const;

  Result<Value> call(const Expression& e);
  Result<Value> call_function(const Expression& e, const std::string& name, List arguments);
  Result<Value> call_macro(const Node& macro, const Expression& e, List arguments);
  Result<Value> range(const List& arguments, std::size_t line);
  Result<Value> date(const List& arguments, std::size_t line) const;
  Result<Value> method(const Value& object, const std::string& name, const List& arguments, std::size_t line) const;
  Result<Value> filter(const Expression& e);
  Result<Value> test(const Expression& e);

  Limits limits_;
  std::optional<Date> today_;
  std::vector<Members> scopes_;  // the first is the template's own
  std::deque<Members> namespaces_;
  std::map<std::string, const Node*> macros_;
  MarkedText out_;
  std::size_t steps_ = 0;
  std::size_t written_ = 0;
  int depth_ = 0;
};

void assign(Members& members, const std::string& name, Value value);

}  // namespace sotto::data::jinja
