#include "data/jinja/jinja_value.h"

namespace sotto::data::jinja {

// Where text came from does not matter to a comparison; True equals 1, as in Python.
bool Value::operator==(const Value& other) const {
  if (const auto* a = as<MarkedText>())
    if (const auto* b = other.as<MarkedText>()) return a->text() == b->text();
  const auto number = [](const Value& value) -> const std::int64_t* { return value.as<std::int64_t>(); };
  if (const auto* a = as<bool>(); a != nullptr && number(other) != nullptr) return (*a ? 1 : 0) == *number(other);
  if (const auto* b = other.as<bool>(); b != nullptr && number(*this) != nullptr) return (*b ? 1 : 0) == *number(*this);
  if (as<Undefined>() != nullptr && other.as<Undefined>() != nullptr) return true;
  return is == other.is;
}

bool is_true(const Value& value) {
  if (const auto* v = value.as<bool>()) return *v;
  if (const auto* v = value.as<std::int64_t>()) return *v != 0;
  if (const auto* v = value.as<MarkedText>()) return !v->empty();
  if (const auto* v = value.as<List>()) return !v->empty();
  if (const auto* v = value.as<Dictionary>()) return !v->members.empty();
  return value.as<Namespace>() != nullptr || value.as<Function>() != nullptr;
}

std::size_t weight(const Value& value) {
  constexpr std::size_t kOne = 64;
  std::size_t sum = kOne;
  if (const auto* text = value.as<MarkedText>()) sum += text->size();
  if (const auto* list = value.as<List>())
    for (const auto& item : *list) sum += weight(item);
  if (const auto* dictionary = value.as<Dictionary>())
    for (const auto& [name, item] : dictionary->members) sum += name.size() + weight(item);
  return sum;
}

const char* type_name(const Value& value) {
  constexpr const char* kNames[] = {"undefined", "none",         "a truth value", "a number",  "a text",
                                    "a list",    "a dictionary", "a namespace",   "a function"};
  return kNames[value.is.index()];
}

const Value* find(const Members& members, std::string_view name) {
  for (const auto& [key, value] : members)
    if (key == name) return &value;
  return nullptr;
}

}  // namespace sotto::data::jinja
