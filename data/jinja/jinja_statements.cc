// The statements of a template.
#include "base/check.h"
#include "data/jinja/jinja_machine.h"
#include "data/jinja/jinja_operations.h"

namespace sotto::data::jinja {

Result<MarkedText> Evaluator::run(const Node& root) {
  SOTTO_TRY_VOID(execute(root));
  return std::move(out_);
}

Result<Evaluator::Flow> Evaluator::execute(const Node& node) {
  SOTTO_TRY_VOID(enter(node.line));
  auto flow = execute_kind(node);
  --depth_;
  return flow;
}

Result<Evaluator::Flow> Evaluator::execute_kind(const Node& node) {
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
    case Node::Kind::kMacro:
      macros_[node.text] = &node;
      assign(scopes_.back(), node.text, {Function{node.text}});
      return Flow::kOn;
    case Node::Kind::kBreak: return Flow::kBreak;
    case Node::Kind::kContinue: return Flow::kContinue;
  }
  SOTTO_CHECK(false);
}

Result<void> Evaluator::put(const MarkedText& text, std::size_t line) {
  SOTTO_TRY_VOID(grow(text.size(), line));
  out_.append(text);
  return {};
}

Result<void> Evaluator::set(const Node& node) {
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

Result<void> Evaluator::set_block(const Node& node) {
  MarkedText outer = std::exchange(out_, {});
  SOTTO_TRY_VOID(execute(*node.children[0]));
  MarkedText body = std::exchange(out_, std::move(outer));
  assign(scopes_.back(), node.text, {std::move(body)});
  return {};
}

Result<List> Evaluator::items_of(const Node& node) {
  SOTTO_TRY(const Value over, evaluate(*node.expression));
  if (const auto* list = over.as<List>()) return *list;
  List items;
  if (const auto* dictionary = over.as<Dictionary>())
    for (const auto& [name, value] : dictionary->members) items.push_back(text_value(name));
  else if (over.as<Undefined>() == nullptr)
    return not_here(node.line, std::string("a loop over ") + type_name(over));
  return items;
}

Result<Members> Evaluator::bound(const Node& node, const Value& item) const {
  if (node.attribute.empty()) return Members{{node.text, item}};
  const auto* pair = item.as<List>();
  if (pair == nullptr || pair->size() != 2)
    return wrong(node.line, std::string("a loop with two names over ") + type_name(item));
  return Members{{node.text, (*pair)[0]}, {node.attribute, (*pair)[1]}};
}

Result<void> Evaluator::keep_where(const Node& node, List& items) {
  List kept;
  for (auto& item : items) {
    SOTTO_TRY(auto names, bound(node, item));
    scopes_.push_back(std::move(names));
    const auto value = evaluate(*node.condition);
    scopes_.pop_back();
    if (!value.ok()) return value.error();
    if (is_true(*value)) kept.push_back(std::move(item));
  }
  items = std::move(kept);
  return {};
}

Result<Evaluator::Flow> Evaluator::loop(const Node& node) {
  SOTTO_TRY(List items, items_of(node));
  if (node.condition) SOTTO_TRY_VOID(keep_where(node, items));
  if (items.empty()) return node.children.size() > 1 ? execute(*node.children[1]) : Flow::kOn;
  for (std::size_t i = 0; i < items.size(); ++i) {
    SOTTO_TRY(auto names, bound(node, items[i]));
    names.emplace_back("loop", loop_variable(items, i));
    scopes_.push_back(std::move(names));
    const auto flow = execute(*node.children[0]);
    scopes_.pop_back();
    if (!flow.ok()) return flow.error();
    if (*flow == Flow::kBreak) break;
  }
  return Flow::kOn;
}

void assign(Members& members, const std::string& name, Value value) {
  for (auto& [key, old] : members) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  members.push_back({name, std::move(value)});
}

}  // namespace sotto::data::jinja
