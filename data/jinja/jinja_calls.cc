// Functions, macros, methods, filters and tests of a running template.
#include <algorithm>
#include <ctime>

#include "data/jinja/jinja_machine.h"
#include "data/jinja/jinja_operations.h"
#include "data/jinja/jinja_text.h"

namespace sotto::data::jinja {

Result<Value> Evaluator::call(const Expression& e) {
  const Expression& callee = *e.parts[0];
  if (callee.kind == Expression::Kind::kAttribute) {
    SOTTO_TRY(const Value object, evaluate(*callee.parts[0]));
    SOTTO_TRY(const List arguments, all(e, 1));
    return method(object, callee.text, arguments, e.line);
  }
  SOTTO_TRY(const Value function, evaluate(callee));
  SOTTO_TRY(List arguments, all(e, 1));
  const auto* known = function.as<Function>();
  if (known == nullptr && callee.text == "strftime_now")
    return unsupported("line " + std::to_string(e.line) +
                       ": it asks for today's date ('strftime_now'), which would give every day other "
                       "records; fix one: \"@2024-07-26\" as chat template");
  if (known == nullptr) return not_here(e.line, "the function '" + callee.text + "'");
  if (const auto macro = macros_.find(known->name); macro != macros_.end())
    return call_macro(*macro->second, e, std::move(arguments));
  return call_function(e, known->name, std::move(arguments));
}

Result<Value> Evaluator::call_function(const Expression& e, const std::string& name, List arguments) {
  if (name == "raise_exception") {
    SOTTO_TRY(const auto words, arguments.empty() ? Result<MarkedText>(MarkedText()) : text_of(arguments[0], e.line));
    return refused("chat template says: " + words.text());
  }
  if (name == "namespace" && arguments.size() == e.keywords.size()) {
    Members members;
    for (std::size_t i = 0; i < arguments.size(); ++i) members.emplace_back(e.keywords[i], std::move(arguments[i]));
    namespaces_.push_back(std::move(members));
    return Value{Namespace{namespaces_.size() - 1}};
  }
  if (name == "range" && e.keywords.empty()) return range(arguments, e.line);
  if (name == "strftime_now" && e.keywords.empty()) return date(arguments, e.line);
  return not_here(e.line, "these arguments of '" + name + "'");
}

// A macro sees its parameters and the template's own variables, and gives the text that it puts out.
Result<Value> Evaluator::call_macro(const Node& macro, const Expression& e, List arguments) {
  const std::size_t by_place = arguments.size() - e.keywords.size();
  if (by_place > macro.parameters.size()) return wrong(e.line, "the macro '" + macro.text + "' has fewer parameters");
  Members bound;
  for (std::size_t i = 0; i < by_place; ++i) assign(bound, macro.parameters[i].name, std::move(arguments[i]));
  for (std::size_t i = 0; i < e.keywords.size(); ++i) {
    if (std::ranges::find(macro.parameters, e.keywords[i], &Parameter::name) == macro.parameters.end() ||
        find(bound, e.keywords[i]) != nullptr)
      return wrong(e.line,
                   "the macro '" + macro.text + "' has no such parameter, or has it already: '" + e.keywords[i] + "'");
    assign(bound, e.keywords[i], std::move(arguments[by_place + i]));
  }
  std::vector<Members> outer = std::move(scopes_);
  scopes_.clear();
  scopes_.push_back(std::move(outer.front()));
  scopes_.emplace_back();
  MarkedText before = std::exchange(out_, {});
  const auto run = [&]() -> Result<void> {
    for (const auto& parameter : macro.parameters) {
      const Value* given = find(bound, parameter.name);
      Value value = given != nullptr ? *given : Value{Undefined{parameter.name}};
      if (given == nullptr && parameter.otherwise != nullptr) {
        SOTTO_TRY(value, evaluate(*parameter.otherwise));
      }
      assign(scopes_.back(), parameter.name, std::move(value));
    }
    SOTTO_TRY_VOID(execute(*macro.children[0]));
    return {};
  };
  const auto done = run();
  outer.front() = std::move(scopes_.front());
  scopes_ = std::move(outer);
  MarkedText text = std::exchange(out_, std::move(before));
  if (!done.ok()) return done.error();
  return Value{std::move(text)};
}

Result<Value> Evaluator::range(const List& arguments, std::size_t line) {
  std::vector<std::int64_t> numbers;
  for (const auto& argument : arguments)
    if (const auto* number = argument.as<std::int64_t>()) numbers.push_back(*number);
  if (numbers.size() != arguments.size() || numbers.empty() || numbers.size() > 2)
    return not_here(line, "these arguments of 'range'");
  List out;
  for (std::int64_t i = numbers.size() == 2 ? numbers[0] : 0; i < numbers.back(); ++i) {
    SOTTO_TRY_VOID(step(line));
    out.push_back({i});
  }
  return Value{std::move(out)};
}

// Python's strftime at midnight of the fixed date.
Result<Value> Evaluator::date(const List& arguments, std::size_t line) const {
  const auto* format = arguments.size() == 1 ? arguments[0].as<MarkedText>() : nullptr;
  if (format == nullptr || format->size() > 200) return not_here(line, "these arguments of 'strftime_now'");
  std::tm time{};
  time.tm_year = today_->year - 1900;
  time.tm_mon = today_->month - 1;
  time.tm_mday = today_->day;
  timegm(&time);  // sets the days of week and year
  char text[1024];
  const std::string wanted = format->text();
  const std::size_t size = std::strftime(text, sizeof text, wanted.c_str(), &time);
  if (size == 0 && !wanted.empty()) return not_here(line, "the date's format '" + wanted + "'");
  return text_value(std::string_view(text, size));
}

Result<Value> Evaluator::method(const Value& object, const std::string& name, const List& arguments,
                                std::size_t line) const {
  if (const auto* text = object.as<MarkedText>()) {
    if (auto value = text_method(*text, name, arguments)) return std::move(*value);
  } else if (const auto* dictionary = object.as<Dictionary>()) {
    if (auto value = dictionary_method(*dictionary, name, arguments)) return std::move(*value);
  } else if (const auto* undefined = object.as<Undefined>()) {
    return wrong(line, "'" + undefined->name + "' is undefined, and '" + name + "' of it is called");
  }
  return not_here(line, "'" + name + "' of " + type_name(object) + ", or these arguments of it");
}

Result<Value> Evaluator::filter(const Expression& e) {
  SOTTO_TRY(Value value, evaluate(*e.parts[0]));
  SOTTO_TRY(const List arguments, all(e, 1));
  auto out = e.keywords.empty() ? filtered(e.text, value, arguments) : std::nullopt;
  if (!out) return not_here(e.line, "the filter '" + e.text + "' on " + type_name(value));
  if (const auto* text = out->as<MarkedText>()) SOTTO_TRY_VOID(grow(text->size(), e.line));
  return std::move(*out);
}

Result<Value> Evaluator::test(const Expression& e) {
  SOTTO_TRY(const Value value, evaluate(*e.parts[0]));
  SOTTO_TRY(const List arguments, all(e, 1));
  const auto out = tested(e.text, value, arguments);
  if (!out) return not_here(e.line, "the test '" + e.text + "'");
  return Value{*out};
}

}  // namespace sotto::data::jinja
