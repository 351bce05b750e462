// The expressions of a template, and the bounds of a rendering.
#include "data/jinja/jinja_evaluator.h"

#include "base/check.h"
#include "data/jinja/jinja_machine.h"
#include "data/jinja/jinja_operations.h"
#include "data/jinja/jinja_text.h"

namespace sotto::data::jinja {
namespace {

constexpr int kMaxDepth = 250;  // statements and expressions inside each other, macros' included

using Kind = Expression::Kind;

}  // namespace

Error Evaluator::wrong(std::size_t line, const std::string& what) {
  return invalid("line " + std::to_string(line) + ": " + what);
}

Error Evaluator::not_here(std::size_t line, const std::string& what) {
  return unsupported("line " + std::to_string(line) + ": it uses " + what +
                     ", which this version does not do in a chat template");
}

Result<void> Evaluator::step(std::size_t line) {
  if (++steps_ > limits_.steps) return wrong(line, "the template does not come to an end");
  return {};
}

Result<void> Evaluator::enter(std::size_t line) {
  SOTTO_TRY_VOID(step(line));
  if (++depth_ > kMaxDepth) return wrong(line, "nested too deeply");
  return {};
}

Result<void> Evaluator::grow(std::size_t bytes, std::size_t line) {
  written_ += bytes;
  if (written_ > limits_.bytes) return wrong(line, "the rendered chat is too long");
  return {};
}

const Value* Evaluator::find_variable(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    if (const Value* found = find(*scope, name)) return found;
  return nullptr;
}

Value Evaluator::lookup(const std::string& name) const {
  if (const Value* found = find_variable(name)) return *found;
  if (name == "true" || name == "True") return {true};
  if (name == "false" || name == "False") return {false};
  if (name == "none" || name == "None") return {None{}};
  if (name == "strftime_now" && !today_) return {Undefined{name}};
  for (const std::string_view known : {"raise_exception", "namespace", "range", "strftime_now"})
    if (name == known) return {Function{name}};
  return {Undefined{name}};
}

Result<Value> Evaluator::evaluate(const Expression& e) {
  SOTTO_TRY_VOID(enter(e.line));
  auto out = evaluate_kind(e);
  --depth_;
  return out;
}

// The value of `e`, without a copy where it is a variable; else it is kept in `storage`. Nothing may be evaluated while it
// is used.
Result<const Value*> Evaluator::object_of(const Expression& e, Value& storage) {
  if (e.kind == Kind::kName)
    if (const Value* found = find_variable(e.text)) return found;
  SOTTO_TRY(storage, evaluate(e));
  return &storage;
}

Result<Value> Evaluator::evaluate_kind(const Expression& e) {
  switch (e.kind) {
    case Kind::kString: return text_value(e.text);
    case Kind::kInteger: return Value{e.number};
    case Kind::kName: return lookup(e.text);
    case Kind::kList: {
      SOTTO_TRY(auto items, all(e, 0));
      return counted({std::move(items)}, e.line);
    }
    case Kind::kDictionary: return dictionary(e);
    case Kind::kAttribute: {
      Value storage;
      SOTTO_TRY(const Value* object, object_of(*e.parts[0], storage));
      return member(*object, e.text, e.line);
    }
    case Kind::kSubscript: return subscript(e);
    case Kind::kSlice: return slice(e);
    case Kind::kCall: return call(e);
    case Kind::kFilter: return filter(e);
    case Kind::kTest: return test(e);
    case Kind::kNot: {
      SOTTO_TRY(const Value value, evaluate(*e.parts[0]));
      return Value{!is_true(value)};
    }
    case Kind::kNegative: {
      SOTTO_TRY(const Value value, evaluate(*e.parts[0]));
      const auto* number = value.as<std::int64_t>();
      if (number == nullptr) return wrong(e.line, std::string("minus ") + type_name(value));
      return Value{-*number};
    }
    case Kind::kBinary: return binary(e);
    case Kind::kChoice: {
      SOTTO_TRY(const Value condition, evaluate(*e.parts[1]));
      if (is_true(condition)) return evaluate(*e.parts[0]);
      if (e.parts[2] == nullptr) return Value{Undefined{"the value of an 'if' without 'else'"}};
      return evaluate(*e.parts[2]);
    }
  }
  SOTTO_CHECK(false);
}

// The values of e.parts[from ..].
Result<List> Evaluator::all(const Expression& e, std::size_t from) {
  List out;
  for (std::size_t i = from; i < e.parts.size(); ++i) {
    SOTTO_TRY(auto value, evaluate(*e.parts[i]));
    out.push_back(std::move(value));
  }
  return out;
}

Result<Value> Evaluator::dictionary(const Expression& e) {
  Members members;
  for (std::size_t i = 0; i < e.parts.size(); i += 2) {
    SOTTO_TRY(const Value key, evaluate(*e.parts[i]));
    SOTTO_TRY(Value value, evaluate(*e.parts[i + 1]));
    if (key.as<MarkedText>() == nullptr) return not_here(e.line, std::string("a dictionary whose key is ") + type_name(key));
    assign(members, key.as<MarkedText>()->text(), std::move(value));
  }
  return counted({Dictionary{std::move(members)}}, e.line);
}

// What is put together of other values: a list that holds itself twice, again and again, ends here.
Result<Value> Evaluator::counted(Value value, std::size_t line) {
  SOTTO_TRY_VOID(grow(weight(value), line));
  return value;
}

Result<Value> Evaluator::member(const Value& object, const std::string& name, std::size_t line) const {
  const Members* members = nullptr;
  if (const auto* dictionary = object.as<Dictionary>()) members = &dictionary->members;
  if (const auto* space = object.as<Namespace>()) members = &namespaces_[space->number];
  if (members != nullptr) {
    const Value* found = find(*members, name);
    return found != nullptr ? *found : Value{Undefined{name}};
  }
  if (const auto* undefined = object.as<Undefined>())
    return wrong(line, "'" + undefined->name + "' is undefined, and '" + name + "' of it is asked for");
  return Value{Undefined{name}};
}

Result<Value> Evaluator::subscript(const Expression& e) {
  SOTTO_TRY(const Value key, evaluate(*e.parts[1]));
  Value storage;
  SOTTO_TRY(const Value* place, object_of(*e.parts[0], storage));
  const Value& object = *place;
  if (const auto* name = key.as<MarkedText>()) return member(object, name->text(), e.line);
  if (object.as<Undefined>() != nullptr) return member(object, "an item", e.line);
  const auto* number = key.as<std::int64_t>();
  if (number == nullptr) return not_here(e.line, std::string("an item of ") + type_name(object));
  const Value nothing{Undefined{"item " + std::to_string(*number)}};
  if (const auto* text = object.as<MarkedText>()) {
    const auto one = sliced(*text, {*number, *number == -1 ? std::nullopt : std::optional(*number + 1), {}});
    return !one || one->empty() ? nothing : Value{*one};
  }
  const auto* list = object.as<List>();
  if (list == nullptr) return not_here(e.line, std::string("an item of ") + type_name(object));
  const auto size = static_cast<std::int64_t>(list->size());
  const std::int64_t at = *number < 0 ? *number + size : *number;
  return at < 0 || at >= size ? nothing : (*list)[static_cast<std::size_t>(at)];
}

Result<Value> Evaluator::slice(const Expression& e) {
  SOTTO_TRY(const Value object, evaluate(*e.parts[0]));
  std::optional<std::int64_t> given[3];
  for (std::size_t i = 1; i < 4; ++i) {
    if (e.parts[i] == nullptr) continue;
    SOTTO_TRY(const Value bound, evaluate(*e.parts[i]));
    if (bound.as<None>() != nullptr) continue;
    if (bound.as<std::int64_t>() == nullptr) return wrong(e.line, std::string("a slice by ") + type_name(bound));
    given[i - 1] = *bound.as<std::int64_t>();
  }
  const Bounds bounds{given[0], given[1], given[2]};
  std::optional<Value> out;
  if (const auto* list = object.as<List>()) {
    if (auto part = sliced(*list, bounds)) out = Value{std::move(*part)};
  } else if (const auto* text = object.as<MarkedText>()) {
    if (auto part = sliced(*text, bounds)) out = Value{std::move(*part)};
  } else {
    return not_here(e.line, std::string("a slice of ") + type_name(object));
  }
  if (!out)
    return not_here(
        e.line, std::string("a slice of ") + type_name(object) + " with a step of " + std::to_string(given[2].value_or(1)));
  return *out;
}

Result<Value> Evaluator::binary(const Expression& e) {
  SOTTO_TRY(Value left, evaluate(*e.parts[0]));
  const std::string& op = e.text;
  if (op == "and" || op == "or") {
    if (is_true(left) == (op == "or")) return left;
    return evaluate(*e.parts[1]);
  }
  SOTTO_TRY(const Value right, evaluate(*e.parts[1]));
  if (op == "==") return Value{left == right};
  if (op == "!=") return Value{!(left == right)};
  if (op == "in") {
    const auto found = contains(right, left);
    if (!found) return wrong(e.line, std::string("'in' between ") + type_name(left) + " and " + type_name(right));
    return Value{*found};
  }
  if (op == "~") {
    SOTTO_TRY(auto text, text_of(left, e.line));
    SOTTO_TRY(const auto more, text_of(right, e.line));
    return joined(std::move(text), more, e.line);
  }
  if (const auto* text = left.as<MarkedText>(); text != nullptr && op == "+" && right.as<MarkedText>() != nullptr)
    return joined(*text, *right.as<MarkedText>(), e.line);
  if (const auto* list = left.as<List>(); list != nullptr && op == "+" && right.as<List>() != nullptr) {
    SOTTO_TRY_VOID(grow(weight(left) + weight(right), e.line));
    List out = *list;
    out.insert(out.end(), right.as<List>()->begin(), right.as<List>()->end());
    return Value{std::move(out)};
  }
  return arithmetic(e, left, right);
}

Result<Value> Evaluator::arithmetic(const Expression& e, const Value& left, const Value& right) const {
  const auto* a = left.as<std::int64_t>();
  const auto* b = right.as<std::int64_t>();
  if (a == nullptr || b == nullptr)
    return wrong(e.line, "'" + e.text + "' between " + type_name(left) + " and " + type_name(right));
  const auto out = calculated(*a, e.text, *b);
  if (!out) return not_here(e.line, "'" + e.text + "' of " + std::to_string(*a) + " and " + std::to_string(*b));
  return *out;
}

Result<Value> Evaluator::joined(MarkedText left, const MarkedText& right, std::size_t line) {
  SOTTO_TRY_VOID(grow(left.size() + right.size(), line));
  left.append(right);
  return Value{std::move(left)};
}

Result<MarkedText> Evaluator::text_of(const Value& value, std::size_t line) const {
  auto text = printed(value);
  if (!text) return not_here(line, std::string("the text of ") + type_name(value));
  return std::move(*text);
}

Result<MarkedText> evaluate(const Node& root, Members globals, const Limits& limits, const std::optional<Date>& today) {
  return Evaluator(std::move(globals), limits, today).run(root);
}

}  // namespace sotto::data::jinja
