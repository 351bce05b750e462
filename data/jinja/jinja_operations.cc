#include "data/jinja/jinja_operations.h"

#include <algorithm>
#include <map>

#include "data/jinja/jinja_text.h"

namespace sotto::data::jinja {
namespace {

std::int64_t characters(const std::string& text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

Value items_of(const Dictionary& dictionary) {
  List out;
  for (const auto& [name, value] : dictionary.members) out.push_back({List{text_value(name), value}});
  return {std::move(out)};
}

// Texts, one behind the other.
std::optional<Value> joined(const List& list, const List& arguments) {
  const auto* between = arguments.empty() ? nullptr : arguments[0].as<MarkedText>();
  if (arguments.size() > 1 || (!arguments.empty() && between == nullptr)) return std::nullopt;
  MarkedText out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto text = printed(list[i]);
    if (!text) return std::nullopt;
    if (i > 0 && between != nullptr) out.append(*between);
    out.append(*text);
  }
  return Value{std::move(out)};
}

std::optional<Value> list_filter(std::string_view filter, const List& list, const List& arguments) {
  if (filter == "join") return joined(list, arguments);
  if (arguments.empty()) {
    if (filter == "first") return list.empty() ? Value{Undefined{"the first item"}} : list.front();
    if (filter == "last") return list.empty() ? Value{Undefined{"the last item"}} : list.back();
    if (filter == "list") return Value{list};
    return std::nullopt;
  }
  // selectattr("role", "equalto", "user")
  const bool select = filter == "selectattr";
  const auto* attribute = arguments[0].as<MarkedText>();
  if ((!select && filter != "rejectattr") || attribute == nullptr || arguments.size() > 3) return std::nullopt;
  List out;
  for (const auto& item : list) {
    const auto* dictionary = item.as<Dictionary>();
    const Value* found = dictionary == nullptr ? nullptr : find(dictionary->members, attribute->text());
    const Value value = found == nullptr ? Value{Undefined{attribute->text()}} : *found;
    std::optional<bool> keep = is_true(value);
    if (arguments.size() > 1) {
      const auto* test = arguments[1].as<MarkedText>();
      if (test == nullptr) return std::nullopt;
      keep = tested(test->text(), value, List(arguments.begin() + 2, arguments.end()));
    }
    if (!keep) return std::nullopt;
    if (*keep == select) out.push_back(item);
  }
  return Value{std::move(out)};
}

}  // namespace

std::optional<MarkedText> printed(const Value& value) {
  const auto plain = [](std::string_view text) { return MarkedText(text, MarkedText::kTemplate); };
  if (const auto* text = value.as<MarkedText>()) return *text;
  if (const auto* number = value.as<std::int64_t>()) return plain(std::to_string(*number));
  if (const auto* truth = value.as<bool>()) return plain(*truth ? "True" : "False");
  if (value.as<None>() != nullptr) return plain("None");
  if (value.as<Undefined>() != nullptr) return MarkedText();
  return std::nullopt;
}

std::optional<Value> filtered(std::string_view filter, const Value& value, const List& arguments) {
  const auto* text = value.as<MarkedText>();
  if (filter == "default" || filter == "d") {
    const bool falsy = arguments.size() > 1 && is_true(arguments[1]);
    if (value.as<Undefined>() == nullptr && !(falsy && !is_true(value))) return value;
    return arguments.empty() ? text_value("") : arguments[0];
  }
  if (filter == "length" || filter == "count") {
    if (value.as<Undefined>() != nullptr) return Value{std::int64_t{0}};
    if (const auto* list = value.as<List>()) return Value{static_cast<std::int64_t>(list->size())};
    if (text != nullptr) return Value{characters(text->text())};
    if (const auto* dictionary = value.as<Dictionary>()) return Value{static_cast<std::int64_t>(dictionary->members.size())};
  }
  if (filter == "items" && arguments.empty() && value.as<Dictionary>() != nullptr) return items_of(*value.as<Dictionary>());
  if (filter == "string") {
    if (auto out = printed(value)) return Value{std::move(*out)};
  }
  if (const auto* list = value.as<List>()) return list_filter(filter, *list, arguments);
  if (text != nullptr && filter == "trim") return text_method(*text, "strip", arguments);
  for (const std::string_view method : {"replace", "upper", "lower"})
    if (text != nullptr && filter == method) return text_method(*text, method, arguments);
  return std::nullopt;
}

std::optional<bool> tested(std::string_view test, const Value& value, const List& arguments) {
  if (arguments.size() == 1) {
    if (test == "eq" || test == "equalto" || test == "==") return value == arguments[0];
    if (test == "in") return contains(arguments[0], value);
  }
  if (!arguments.empty()) return std::nullopt;
  const bool text = value.as<MarkedText>() != nullptr;
  const bool list = value.as<List>() != nullptr;
  const bool dictionary = value.as<Dictionary>() != nullptr;
  const bool undefined = value.as<Undefined>() != nullptr;
  const auto* truth = value.as<bool>();
  const auto* number = value.as<std::int64_t>();
  const std::map<std::string_view, bool> known = {{"defined", !undefined},
                                                  {"undefined", undefined},
                                                  {"none", value.as<None>() != nullptr},
                                                  {"string", text},
                                                  {"mapping", dictionary},
                                                  {"sequence", text || list || dictionary},
                                                  {"iterable", text || list || dictionary || undefined},
                                                  {"number", number != nullptr || truth != nullptr},
                                                  {"integer", number != nullptr},
                                                  {"boolean", truth != nullptr},
                                                  {"true", truth != nullptr && *truth},
                                                  {"false", truth != nullptr && !*truth}};
  const auto it = known.find(test);
  if (it == known.end()) return std::nullopt;
  return it->second;
}

std::optional<bool> contains(const Value& where, const Value& what) {
  if (const auto* list = where.as<List>()) return std::ranges::find(*list, what) != list->end();
  if (where.as<Undefined>() != nullptr) return false;
  const auto* text = what.as<MarkedText>();
  if (text == nullptr) return std::nullopt;
  if (const auto* in = where.as<MarkedText>()) return in->text().find(text->text()) != std::string::npos;
  if (const auto* dictionary = where.as<Dictionary>()) return find(dictionary->members, text->text()) != nullptr;
  return std::nullopt;
}

std::optional<Value> calculated(std::int64_t a, std::string_view op, std::int64_t b) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;  // nothing overflows
  if (a < -kLargest || a > kLargest || b < -kLargest || b > kLargest) return std::nullopt;
  if (op == "+") return Value{a + b};
  if (op == "-") return Value{a - b};
  if (op == "*") return Value{a * b};
  if (op == "<") return Value{a < b};
  if (op == "<=") return Value{a <= b};
  if (op == ">") return Value{a > b};
  if (op == ">=") return Value{a >= b};
  if ((op != "%" && op != "//") || b == 0) return std::nullopt;
  const std::int64_t remainder = ((a % b) + b) % b;  // of the divisor's sign, as in Python
  return op == "%" ? Value{remainder} : Value{(a - remainder) / b};
}

std::optional<List> sliced(const List& list, const Bounds& bounds) {
  const std::int64_t step = bounds.step.value_or(1);
  if (step != 1 && step != -1) return std::nullopt;
  const auto size = static_cast<std::int64_t>(list.size());
  const auto place = [&](std::optional<std::int64_t> bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    const std::int64_t at = *bound < 0 ? *bound + size : *bound;
    return std::clamp(at, step > 0 ? std::int64_t{0} : std::int64_t{-1},
                      std::max(step > 0 ? size : size - 1, std::int64_t{-1}));
  };
  List out;
  const std::int64_t stop = place(bounds.stop, step > 0 ? size : -1);
  for (std::int64_t i = place(bounds.start, step > 0 ? 0 : size - 1); step > 0 ? i < stop : i > stop; i += step)
    out.push_back(list[static_cast<std::size_t>(i)]);
  return out;
}

std::optional<Value> dictionary_method(const Dictionary& dictionary, std::string_view name, const List& arguments) {
  if (name == "get" && !arguments.empty() && arguments.size() < 3) {
    const auto* key = arguments[0].as<MarkedText>();
    const Value* found = key == nullptr ? nullptr : find(dictionary.members, key->text());
    if (found != nullptr) return *found;
    return arguments.size() == 2 ? arguments[1] : Value{None{}};
  }
  if (!arguments.empty()) return std::nullopt;
  if (name == "items") return items_of(dictionary);
  List out;
  for (const auto& [key, value] : dictionary.members) out.push_back(name == "keys" ? text_value(key) : value);
  if (name == "keys" || name == "values") return Value{std::move(out)};
  return std::nullopt;
}

Value loop_variable(const List& items, std::size_t i) {
  const auto number = [](std::size_t n) { return Value{static_cast<std::int64_t>(n)}; };
  return {Dictionary{{{"index", number(i + 1)},
                      {"index0", number(i)},
                      {"revindex", number(items.size() - i)},
                      {"revindex0", number(items.size() - i - 1)},
                      {"first", {i == 0}},
                      {"last", {i + 1 == items.size()}},
                      {"length", number(items.size())},
                      {"previtem", i > 0 ? items[i - 1] : Value{Undefined{"previtem"}}},
                      {"nextitem", i + 1 < items.size() ? items[i + 1] : Value{Undefined{"nextitem"}}}}}};
}

}  // namespace sotto::data::jinja
