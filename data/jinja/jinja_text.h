// What templates do with texts: string methods, and the filters that are their twins. Private to jinja*.cc. Marks are kept.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "data/jinja/jinja_value.h"

namespace sotto::data::jinja {

// `name` of `text`, as Python's str has it: strip, lstrip, rstrip, split, startswith, endswith, replace, upper, lower. Empty
// when there is no such method, or when the arguments are not what it takes.
std::optional<Value> text_method(const MarkedText& text, std::string_view name, const List& arguments);

// Cuts white space, or the characters of `set`, off the ends.
MarkedText stripped(const MarkedText& text, bool left, bool right, std::optional<std::string_view> set = {});

// Characters by their number; step 1 alone.
std::optional<MarkedText> sliced(const MarkedText& text, const Bounds& bounds);

}  // namespace sotto::data::jinja
