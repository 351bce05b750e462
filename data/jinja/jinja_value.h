// The values of a running template. Private to jinja*.cc. Plain values; a namespace is a number, its contents are the
// evaluator's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/jinja/marked_text.h"

namespace sotto::data::jinja {

struct Bounds {  // of a slice
  std::optional<std::int64_t> start, stop, step;
};

struct Value;
struct Undefined {
  std::string name;  // what was not there, for messages
  bool operator==(const Undefined&) const = default;
};
struct None {
  bool operator==(const None&) const = default;
};
struct Namespace {
  std::size_t number;
  bool operator==(const Namespace&) const = default;
};
struct Function {
  std::string name;
  bool operator==(const Function&) const = default;
};
using List = std::vector<Value>;
struct Member;
using Members = std::vector<Member>;
struct Dictionary {
  Members members;
  bool operator==(const Dictionary& other) const;
};

struct Value {
  std::variant<Undefined, None, bool, std::int64_t, MarkedText, List, Dictionary, Namespace, Function> is;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&is);
  }
  bool operator==(const Value& other) const;
};

struct Member {
  std::string name;
  Value value;
  bool operator==(const Member&) const = default;
};

inline bool Dictionary::operator==(const Dictionary& other) const { return members == other.members; }

bool is_true(const Value& value);
std::size_t weight(const Value& value);  // what a copy of it costs, in bytes or so
const char* type_name(const Value& value);
const Value* find(const Members& members, std::string_view name);
inline Value text_value(std::string_view text, std::int32_t source = MarkedText::kTemplate) {
  return {MarkedText(text, source)};
}

}  // namespace sotto::data::jinja
