#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "base/files.h"

namespace sotto {
namespace {

using Nlohmann = nlohmann::ordered_json;
constexpr std::size_t kMaxDepth = 100;

// Builds a Json while nlohmann's parser reads. Its own objects look every member up before adding it, which is quadratic;
// here an object is checked for members that occur twice once, when it is complete. Such an object is refused: readers of JSON
// disagree on which of the two counts (RFC 8259, section 4), so that one reader would check what another does not use.
class Builder {
 public:
  explicit Builder(std::string_view origin, std::string_view text) : origin_(origin), text_(text) {}

  bool null() { return add(Json()); }
  bool boolean(bool v) { return add(Json(v)); }
  bool number_integer(std::int64_t v) { return add(Json(v)); }
  bool number_unsigned(std::uint64_t v) {
    if (v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return add(Json(static_cast<double>(v)));
    return add(Json(static_cast<std::int64_t>(v)));
  }
  bool number_float(double v, const std::string&) { return add(Json(v)); }
  bool string(std::string& v) { return add(Json(std::move(v))); }
  bool binary(Nlohmann::binary_t&) { return add(Json()); }  // JSON text has none

  bool start_object(std::size_t) { return open(true); }
  bool start_array(std::size_t) { return open(false); }
  bool key(std::string& name) {
    open_.back().object.emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() {
    Json::Object members = std::move(open_.back().object);
    open_.pop_back();
    if (const std::string* twice = occurs_twice(members)) {
      error_ = invalid(std::string(origin_) + ": the key '" + twice->substr(0, 60) +
                       "' occurs twice in one JSON object; leave one of them out");
      return false;
    }
    return add(Json(std::move(members)));
  }
  bool end_array() {
    Json::Array items = std::move(open_.back().array);
    open_.pop_back();
    return add(Json(std::move(items)));
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::json::exception& e) {
    if (dynamic_cast<const nlohmann::json::parse_error*>(&e) == nullptr) {
      error_ = invalid(std::string(origin_) + ": not valid JSON: " + e.what());
      return false;
    }
    const auto until = text_.substr(0, std::min(text_.size(), byte));
    const auto line = 1 + std::count(until.begin(), until.end(), '\n');
    error_ = invalid(std::string(origin_) + ":" + std::to_string(line) + ": not valid JSON (near byte " +
                     std::to_string(byte) + ")");
    return false;
  }

  Result<Json> take() {
    if (error_) return *error_;
    return std::move(root_);
  }

 private:
  struct Container {
    bool is_object;
    Json::Object object;
    Json::Array array;
  };

  bool open(bool is_object) {
    if (open_.size() > kMaxDepth) {
      error_ = invalid(std::string(origin_) + ": JSON nested deeper than " + std::to_string(kMaxDepth));
      return false;
    }
    open_.push_back({is_object, {}, {}});
    return true;
  }

  bool add(Json value) {
    if (open_.empty())
      root_ = std::move(value);
    else if (open_.back().is_object)
      open_.back().object.back().second = std::move(value);
    else
      open_.back().array.push_back(std::move(value));
    return true;
  }

  // The first key that stands there already; nullptr when there is none.
  static const std::string* occurs_twice(const Json::Object& members) {
    std::unordered_set<std::string_view> seen;
    seen.reserve(members.size());
    for (const auto& [key, value] : members)
      if (!seen.insert(key).second) return &key;
    return nullptr;
  }

  std::string_view origin_;
  std::string_view text_;
  std::vector<Container> open_;
  Json root_;
  std::optional<Error> error_;
};

Nlohmann to_nlohmann(const Json& in) {
  if (in.is_bool()) return in.as_bool();
  if (in.is_int()) return in.as_int();
  if (in.is_number()) {
    const double v = in.as_double();
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
    return v;
  }
  if (in.is_string()) return in.as_string();
  if (in.is_array()) {
    Nlohmann out = Nlohmann::array();
    for (const auto& item : in.items()) out.push_back(to_nlohmann(item));
    return out;
  }
  if (in.is_object()) {
    Nlohmann out = Nlohmann::object();
    auto& members = out.get_ref<Nlohmann::object_t&>();  // appended as it is: out[name] would look through all of them
    members.reserve(in.members().size());
    for (const auto& [name, item] : in.members()) members.emplace_back(name, to_nlohmann(item));
    return out;
  }
  return nullptr;
}

Error wrong_type(const Json* found, std::string_view name, const char* wanted) {
  return invalid("field '" + std::string(name) + "' is " + (found ? std::string("not ") + wanted : "missing"));
}

}  // namespace

Result<Json> Json::parse(std::string_view text, std::string_view origin) {
  Builder builder(origin, text);
  Nlohmann::sax_parse(text, &builder);
  return builder.take();
}

Result<Json> Json::read_file(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  return parse(text, path);
}

std::string Json::dump(int indent) const {
  return to_nlohmann(*this).dump(indent, ' ', false, Nlohmann::error_handler_t::replace);
}

bool Json::as_bool() const {
  SOTTO_CHECK(is_bool());
  return std::get<bool>(value_);
}
std::int64_t Json::as_int() const {
  SOTTO_CHECK(is_int());
  return std::get<std::int64_t>(value_);
}

double Json::as_double() const {
  if (is_int()) return static_cast<double>(std::get<std::int64_t>(value_));
  if (is_string()) {
    const auto& text = as_string();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  }
  SOTTO_CHECK(is_number());
  return std::get<double>(value_);
}

const std::string& Json::as_string() const {
  SOTTO_CHECK(is_string());
  return std::get<std::string>(value_);
}
const Json::Array& Json::items() const {
  SOTTO_CHECK(is_array());
  return std::get<Array>(value_);
}
const Json::Object& Json::members() const {
  SOTTO_CHECK(is_object());
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const auto& [key, value] : members())
    if (key == name) return &value;
  return nullptr;
}

const Json& Json::at(std::string_view name) const {
  const Json* value = find(name);
  if (!value) throw Failure("no JSON member '" + std::string(name) + "'");
  return *value;
}

const Json& Json::at(std::size_t index) const {
  SOTTO_CHECK(index < items().size());
  return items()[index];
}

Result<std::string> Json::get_string(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_string()) return wrong_type(v, name, "a string");
  return v->as_string();
}

Result<std::int64_t> Json::get_int(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_int()) return wrong_type(v, name, "an integer");
  return v->as_int();
}

Result<double> Json::get_double(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_number()) return wrong_type(v, name, "a number");
  return v->as_double();
}

Result<bool> Json::get_bool(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_bool()) return wrong_type(v, name, "true or false");
  return v->as_bool();
}

Result<const Json::Array*> Json::get_array(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_array()) return wrong_type(v, name, "an array");
  return &v->items();
}

Result<const Json::Object*> Json::get_object(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_object()) return wrong_type(v, name, "an object");
  return &v->members();
}

Json& Json::set(std::string_view name, Json value) {
  if (is_null()) value_ = Object{};
  SOTTO_CHECK(is_object());
  for (auto& [key, old] : std::get<Object>(value_)) {
    if (key == name) {
      old = std::move(value);
      return *this;
    }
  }
  std::get<Object>(value_).emplace_back(std::string(name), std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  if (is_null()) value_ = Array{};
  SOTTO_CHECK(is_array());
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}

}  // namespace sotto
