// The names of an enumeration's values, told once: beside the enumeration stands a function
//   constexpr std::array<NamedValue<Colour>, 2> names_of(Colour) { return {{{Colour::kRed, "red"}, {Colour::kBlue, "blue"}}}; }
// and writing, reading and listing follow from it. A value that is not in the table does not exist: from outside (a byte, a
// text) it gives none, from inside it is a broken invariant. Pure functions.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/check.h"
#include "base/result.h"

namespace sotto {

template <class Enum>
struct NamedValue {
  Enum value;
  std::string_view name;
};

template <class Enum>
concept NamedEnum = std::is_enum_v<Enum> && requires(Enum value) { names_of(value).size(); };

template <NamedEnum Enum>
std::string_view name_of(Enum value) {
  for (const auto& known : names_of(value))
    if (known.value == value) return known.name;
  throw Failure("a value outside its enumeration");
}

template <NamedEnum Enum>
std::optional<Enum> with_name(std::string_view name) {
  for (const auto& known : names_of(Enum{}))
    if (known.name == name) return known.value;
  return std::nullopt;
}

template <NamedEnum Enum>
std::optional<Enum> with_number(std::uint8_t number) {
  for (const auto& known : names_of(Enum{}))
    if (static_cast<std::uint8_t>(known.value) == number) return known.value;
  return std::nullopt;
}

// "\"red\", \"blue\""
template <NamedEnum Enum>
std::string listed_names(std::string_view between = ", ") {
  std::string out;
  for (const auto& known : names_of(Enum{}))
    out += std::string(out.empty() ? "" : between) + "\"" + std::string(known.name) + "\"";
  return out;
}

// The value of this name; `what` begins the message of the error (kUnsupported) for another one.
template <NamedEnum Enum>
Result<Enum> from_string(std::string_view what, std::string_view name) {
  if (const auto value = with_name<Enum>(name)) return *value;
  return unsupported(std::string(what) + " \"" + std::string(name) + "\" is not known to this version; use " +
                     listed_names<Enum>(" or "));
}

}  // namespace sotto
