// JSON as a plain value type. Parsing and number formatting are nlohmann-json's (json.cc); objects keep the order in which
// their members were added, so the same value always gives the same bytes. Reading a member that is missing or has another
// type gives an Error that names its path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace sotto {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() : value_(nullptr) {}
  Json(std::nullptr_t) : value_(nullptr) {}             // NOLINT: implicit, so that literals read well
  Json(bool v) : value_(v) {}                           // NOLINT
  Json(double v) : value_(v) {}                         // NOLINT
  Json(const char* v) : value_(std::string(v)) {}       // NOLINT
  Json(std::string v) : value_(std::move(v)) {}         // NOLINT
  Json(std::string_view v) : value_(std::string(v)) {}  // NOLINT
  Json(Array v) : value_(std::move(v)) {}               // NOLINT
  Json(Object v) : value_(std::move(v)) {}              // NOLINT
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  Json(T v) : value_(static_cast<std::int64_t>(v)) {}  // NOLINT
  // object({{"name", 1}, ...}); an initializer list alone would be ambiguous between array and object.
  static Json object(std::initializer_list<Member> members = {}) { return Json(Object(members)); }
  static Json array(std::initializer_list<Json> items = {}) { return Json(Array(items)); }

  // `origin` (a file's name, say) starts every error message; positions are 1-based lines. Depth is limited to 100.
  static Result<Json> parse(std::string_view text, std::string_view origin);
  static Result<Json> read_file(const std::string& path);
  std::string dump(int indent = -1) const;  // -1: one line; non-finite doubles become "inf", "-inf", "nan"

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // For values whose type is known; a wrong type is a broken invariant.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;  // of an integer too; the strings "inf", "-inf", "nan" as well
  const std::string& as_string() const;
  const Array& items() const;
  const Object& members() const;

  const Json* find(std::string_view name) const;  // nullptr when this is no object or has no such member
  const Json& at(std::string_view name) const;    // broken invariant when missing: for our own files and tests
  const Json& at(std::size_t index) const;

  // Checked reads for input from outside.
  Result<std::string> get_string(std::string_view name) const;
  Result<std::int64_t> get_int(std::string_view name) const;
  Result<double> get_double(std::string_view name) const;
  Result<bool> get_bool(std::string_view name) const;
  Result<const Array*> get_array(std::string_view name) const;
  Result<const Object*> get_object(std::string_view name) const;

  Json& set(std::string_view name, Json value);  // adds or replaces a member; makes an object of a null
  Json& push(Json value);                        // appends; makes an array of a null

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace sotto
