// What templates do with values: filters, tests, operators. Private to jinja*.cc. Pure functions; where one has no answer
// for its operands, it gives none, and the evaluator says what was asked for.
#pragma once

#include <optional>
#include <string_view>

#include "data/jinja/jinja_value.h"

namespace sotto::data::jinja {

// Text that is put out; none for lists and dictionaries, whose text is Python's.
std::optional<MarkedText> printed(const Value& value);
std::optional<Value> filtered(std::string_view filter, const Value& value, const List& arguments);
std::optional<bool> tested(std::string_view test, const Value& value, const List& arguments);
std::optional<bool> contains(const Value& where, const Value& what);
std::optional<Value> calculated(std::int64_t a, std::string_view op, std::int64_t b);  // + - * // % < <= > >=

std::optional<List> sliced(const List& list, const Bounds& bounds);  // step 1 or -1
std::optional<Value> dictionary_method(const Dictionary& dictionary, std::string_view name, const List& arguments);

// The variable `loop` at items[i].
Value loop_variable(const List& items, std::size_t i);

}  // namespace sotto::data::jinja
