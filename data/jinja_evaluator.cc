#include "data/jinja_evaluator.h"

#include <deque>
#include <optional>

#include "base/check.h"
#include "data/jinja_operations.h"
#include "data/jinja_text.h"

namespace sotto::data::jinja {
namespace {

constexpr int kMaxDepth = 200;

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(Members globals, const Limits& limits) : limits_(limits) { scopes_.push_back(std::move(globals)); }

  Result<MarkedText> run(const Node& root) {
    SOTTO_TRY_VOID(execute(root));
    return std::move(out_);
  }

 private:
  using Kind = Expression::Kind;

  static Error wrong(std::size_t line, const std::string& what) { return invalid("line " + std::to_string(line) + ": " + what); }
  static Error not_here(std::size_t line, const std::string& what) {
    return unsupported("line " + std::to_string(line) + ": it uses " + what + ", which this version does not do in a chat template");
  }

  Result<void> step(std::size_t line) {
    if (++steps_ > limits_.steps) return wrong(line, "the template does not come to an end");
    return {};
  }

  // Statements.
  Result<Flow> execute(const Node& node) {
    SOTTO_TRY_VOID(step(node.line));
    switch (node.kind) {
      case Node::Kind::kSequence:
        for (const auto& child : node.children) {
          SOTTO_TRY(const Flow flow, execute(*child));
          if (flow != Flow::kOn) return flow;
        }
        return Flow::kOn;
      case Node::Kind::kText: SOTTO_TRY_VOID(put(MarkedText(node.text, MarkedText::kTemplate), node.line)); return Flow::kOn;
      case Node::Kind::kOutput: {
        SOTTO_TRY(const Value value, evaluate(*node.expression));
        SOTTO_TRY(const auto text, text_of(value, node.line));
        SOTTO_TRY_VOID(put(text, node.line));
        return Flow::kOn;
      }
      case Node::Kind::kIf: {
        SOTTO_TRY(const Value value, evaluate(*node.expression));
        if (is_true(value)) return execute(*node.children[0]);
        return node.children.size() > 1 ? execute(*node.children[1]) : Flow::kOn;
      }
      case Node::Kind::kFor: return loop(node);
      case Node::Kind::kSet: SOTTO_TRY_VOID(set(node)); return Flow::kOn;
      case Node::Kind::kSetBlock: SOTTO_TRY_VOID(set_block(node)); return Flow::kOn;
      case Node::Kind::kBreak: return Flow::kBreak;
      case Node::Kind::kContinue: return Flow::kContinue;
    }
    SOTTO_CHECK(false);
  }

  // What a template builds or puts out, in bytes.
  Result<void> grow(std::size_t bytes, std::size_t line) {
    written_ += bytes;
    if (written_ > limits_.bytes) return wrong(line, "the rendered chat is too long");
    return {};
  }

  Result<void> put(const MarkedText& text, std::size_t line) {
    SOTTO_TRY_VOID(grow(text.size(), line));
    out_.append(text);
    return {};
  }

  Result<void> set(const Node& node) {
    SOTTO_TRY(Value value, evaluate(*node.expression));
    if (node.attribute.empty()) {
      assign(scopes_.back(), node.text, std::move(value));
      return {};
    }
    const Value target = lookup(node.text);
    const auto* space = target.as<Namespace>();
    if (space == nullptr) return wrong(node.line, "'" + node.text + "' is no namespace");
    assign(namespaces_[space->number], node.attribute, std::move(value));
    return {};
  }

  Result<void> set_block(const Node& node) {
    MarkedText outer = std::exchange(out_, {});
    SOTTO_TRY_VOID(execute(*node.children[0]));
    MarkedText body = std::exchange(out_, std::move(outer));
    assign(scopes_.back(), node.text, {std::move(body)});
    return {};
  }

  Result<Flow> loop(const Node& node) {
    SOTTO_TRY(const Value over, evaluate(*node.expression));
    List items;
    if (const auto* list = over.as<List>())
      items = *list;
    else if (over.as<Undefined>() == nullptr)
      return not_here(node.line, std::string("a loop over ") + type_name(over));
    if (!node.attribute.empty() && !items.empty()) return not_here(node.line, "a loop with two names");
    if (node.condition) SOTTO_TRY_VOID(keep_where(node, items));
    if (items.empty()) return node.children.size() > 1 ? execute(*node.children[1]) : Flow::kOn;
    for (std::size_t i = 0; i < items.size(); ++i) {
      scopes_.push_back({{node.text, items[i]}, {"loop", loop_variable(items, i)}});
      const auto flow = execute(*node.children[0]);
      scopes_.pop_back();
      if (!flow.ok()) return flow.error();
      if (*flow == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  Result<void> keep_where(const Node& node, List& items) {
    List kept;
    for (auto& item : items) {
      scopes_.push_back({{node.text, item}});
      const auto value = evaluate(*node.condition);
      scopes_.pop_back();
      if (!value.ok()) return value.error();
      if (is_true(*value)) kept.push_back(std::move(item));
    }
    items = std::move(kept);
    return {};
  }

  static void assign(Members& members, const std::string& name, Value value) {
    for (auto& [key, old] : members) {
      if (key != name) continue;
      old = std::move(value);
      return;
    }
    members.emplace_back(name, std::move(value));
  }

  const Value* find_variable(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
      if (const Value* found = find(*scope, name)) return found;
    return nullptr;
  }

  Value lookup(const std::string& name) const {
    if (const Value* found = find_variable(name)) return *found;
    if (name == "true" || name == "True") return {true};
    if (name == "false" || name == "False") return {false};
    if (name == "none" || name == "None") return {None{}};
    for (const std::string_view known : {"raise_exception", "namespace", "range", "strftime_now"})
      if (name == known) return {Function{name}};
    return {Undefined{name}};
  }

  // Expressions.
  Result<Value> evaluate(const Expression& e) {
    SOTTO_TRY_VOID(step(e.line));
    if (++depth_ > kMaxDepth) return wrong(e.line, "expressions nested too deeply");
    auto out = evaluate_kind(e);
    --depth_;
    return out;
  }

  // The value of `e`, without a copy where it is a variable; else it is kept in `storage`.
  Result<const Value*> object_of(const Expression& e, Value& storage) {
    if (e.kind == Kind::kName)
      if (const Value* found = find_variable(e.text)) return found;
    SOTTO_TRY(storage, evaluate(e));
    return &storage;
  }

  Result<Value> evaluate_kind(const Expression& e) {
    switch (e.kind) {
      case Kind::kString: return text_value(e.text);
      case Kind::kInteger: return Value{e.number};
      case Kind::kName: return lookup(e.text);
      case Kind::kList: {
        SOTTO_TRY(auto items, all(e, 0));
        return Value{std::move(items)};
      }
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
      case Kind::kUnsupported: return not_here(e.line, e.text);
    }
    SOTTO_CHECK(false);
  }

  // The values of e.parts[from ..].
  Result<List> all(const Expression& e, std::size_t from) {
    List out;
    for (std::size_t i = from; i < e.parts.size(); ++i) {
      SOTTO_TRY(auto value, evaluate(*e.parts[i]));
      out.push_back(std::move(value));
    }
    return out;
  }

  Result<Value> member(const Value& object, const std::string& name, std::size_t line) const {
    const Members* members = nullptr;
    if (const auto* dictionary = object.as<Dictionary>()) members = &dictionary->members;
    if (const auto* space = object.as<Namespace>()) members = &namespaces_[space->number];
    if (members != nullptr) {
      const Value* found = find(*members, name);
      return found != nullptr ? *found : Value{Undefined{name}};
    }
    if (const auto* undefined = object.as<Undefined>()) return wrong(line, "'" + undefined->name + "' is undefined, and '" + name + "' of it is asked for");
    return Value{Undefined{name}};
  }

  Result<Value> subscript(const Expression& e) {
    Value storage;
    SOTTO_TRY(const Value* place, object_of(*e.parts[0], storage));
    const Value& object = *place;
    SOTTO_TRY(const Value key, evaluate(*e.parts[1]));
    if (const auto* name = key.as<MarkedText>()) return member(object, name->text(), e.line);
    const auto* number = key.as<std::int64_t>();
    const auto* list = object.as<List>();
    if (object.as<Undefined>() != nullptr) return member(object, "an item", e.line);
    if (number == nullptr || list == nullptr) return not_here(e.line, std::string("an item of ") + type_name(object));
    const auto size = static_cast<std::int64_t>(list->size());
    const std::int64_t at = *number < 0 ? *number + size : *number;
    if (at < 0 || at >= size) return Value{Undefined{"item " + std::to_string(*number)}};
    return (*list)[static_cast<std::size_t>(at)];
  }

  Result<Value> slice(const Expression& e) {
    SOTTO_TRY(const Value object, evaluate(*e.parts[0]));
    const auto* list = object.as<List>();
    if (list == nullptr) return not_here(e.line, std::string("a slice of ") + type_name(object));
    std::optional<std::int64_t> given[3];
    for (std::size_t i = 1; i < 4; ++i) {
      if (e.parts[i] == nullptr) continue;
      SOTTO_TRY(const Value bound, evaluate(*e.parts[i]));
      if (bound.as<None>() != nullptr) continue;
      if (bound.as<std::int64_t>() == nullptr) return wrong(e.line, std::string("a slice by ") + type_name(bound));
      given[i - 1] = *bound.as<std::int64_t>();
    }
    auto out = sliced(*list, {given[0], given[1], given[2]});
    if (!out) return not_here(e.line, "a slice with a step of " + std::to_string(given[2].value_or(1)));
    return Value{std::move(*out)};
  }

  Result<Value> call(const Expression& e) {
    const Expression& callee = *e.parts[0];
    if (callee.kind == Kind::kAttribute) {
      SOTTO_TRY(const Value object, evaluate(*callee.parts[0]));
      SOTTO_TRY(const List arguments, all(e, 1));
      return method(object, callee.text, arguments, e.line);
    }
    SOTTO_TRY(const Value function, evaluate(callee));
    SOTTO_TRY(List arguments, all(e, 1));
    const auto* known = function.as<Function>();
    if (known == nullptr) return not_here(e.line, "the function '" + callee.text + "'");
    if (known->name == "raise_exception") {
      SOTTO_TRY(const auto words, arguments.empty() ? Result<MarkedText>(MarkedText()) : text_of(arguments[0], e.line));
      return refused("chat template says: " + words.text());
    }
    if (known->name == "namespace" && arguments.size() == e.keywords.size()) {
      Members members;
      for (std::size_t i = 0; i < arguments.size(); ++i) members.emplace_back(e.keywords[i], std::move(arguments[i]));
      namespaces_.push_back(std::move(members));
      return Value{Namespace{namespaces_.size() - 1}};
    }
    if (known->name == "range") return range(arguments, e.line);
    if (known->name == "strftime_now") return not_here(e.line, "today's date ('strftime_now'), which would give every day other records,");
    return not_here(e.line, "these arguments of '" + known->name + "'");
  }

  Result<Value> range(const List& arguments, std::size_t line) {
    std::vector<std::int64_t> numbers;
    for (const auto& argument : arguments)
      if (const auto* number = argument.as<std::int64_t>()) numbers.push_back(*number);
    if (numbers.size() != arguments.size() || numbers.empty() || numbers.size() > 2) return not_here(line, "these arguments of 'range'");
    List out;
    for (std::int64_t i = numbers.size() == 2 ? numbers[0] : 0; i < numbers.back(); ++i) {
      SOTTO_TRY_VOID(step(line));
      out.push_back({i});
    }
    return Value{std::move(out)};
  }

  Result<Value> method(const Value& object, const std::string& name, const List& arguments, std::size_t line) {
    if (const auto* text = object.as<MarkedText>()) {
      if (auto value = text_method(*text, name, arguments)) return std::move(*value);
    } else if (const auto* dictionary = object.as<Dictionary>(); dictionary != nullptr && name == "get" && !arguments.empty() && arguments.size() < 3) {
      const auto* key = arguments[0].as<MarkedText>();
      const Value* found = key == nullptr ? nullptr : find(dictionary->members, key->text());
      if (found != nullptr) return *found;
      return arguments.size() == 2 ? arguments[1] : Value{None{}};
    } else if (const auto* undefined = object.as<Undefined>()) {
      return wrong(line, "'" + undefined->name + "' is undefined, and '" + name + "' of it is called");
    }
    return not_here(line, "'" + name + "' of " + type_name(object) + ", or these arguments of it");
  }

  Result<Value> filter(const Expression& e) {
    SOTTO_TRY(Value value, evaluate(*e.parts[0]));
    SOTTO_TRY(const List arguments, all(e, 1));
    auto out = e.keywords.empty() ? filtered(e.text, value, arguments) : std::nullopt;
    if (!out) return not_here(e.line, "the filter '" + e.text + "' on " + type_name(value));
    return std::move(*out);
  }

  Result<Value> test(const Expression& e) {
    SOTTO_TRY(const Value value, evaluate(*e.parts[0]));
    SOTTO_TRY(const List arguments, all(e, 1));
    const auto out = tested(e.text, value, arguments);
    if (!out) return not_here(e.line, "the test '" + e.text + "'");
    return Value{*out};
  }

  Result<Value> binary(const Expression& e) {
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
      List out = *list;
      SOTTO_TRY_VOID(grow(64 * (out.size() + right.as<List>()->size()), e.line));
      out.insert(out.end(), right.as<List>()->begin(), right.as<List>()->end());
      return Value{std::move(out)};
    }
    const auto* a = left.as<std::int64_t>();
    const auto* b = right.as<std::int64_t>();
    if (a == nullptr || b == nullptr) return wrong(e.line, std::string("'") + op + "' between " + type_name(left) + " and " + type_name(right));
    const auto out = calculated(*a, op, *b);
    if (!out) return not_here(e.line, "'" + op + "' of " + std::to_string(*a) + " and " + std::to_string(*b));
    return *out;
  }

  Result<Value> joined(MarkedText left, const MarkedText& right, std::size_t line) {
    SOTTO_TRY_VOID(grow(left.size() + right.size(), line));
    left.append(right);
    return Value{std::move(left)};
  }

  Result<MarkedText> text_of(const Value& value, std::size_t line) const {
    auto text = printed(value);
    if (!text) return not_here(line, std::string("the text of ") + type_name(value));
    return std::move(*text);
  }

  Limits limits_;
  std::vector<Members> scopes_;
  std::deque<Members> namespaces_;
  MarkedText out_;
  std::size_t steps_ = 0;
  std::size_t written_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<MarkedText> evaluate(const Node& root, Members globals, const Limits& limits) {
  return Evaluator(std::move(globals), limits).run(root);
}

}  // namespace sotto::data::jinja
