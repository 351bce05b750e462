#include "base/json.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/files.h"

namespace sotto {
namespace {

using Nlohmann = nlohmann::ordered_json;
constexpr int kMaxDepth = 100;

Result<Json> convert(const Nlohmann& in, int depth, std::string_view origin) {
  if (depth > kMaxDepth) return invalid(std::string(origin) + ": JSON nested deeper than " + std::to_string(kMaxDepth));
  switch (in.type()) {
    case Nlohmann::value_t::boolean: return Json(in.get<bool>());
    case Nlohmann::value_t::number_integer: return Json(in.get<std::int64_t>());
    case Nlohmann::value_t::number_unsigned: {
      const auto v = in.get<std::uint64_t>();
      if (v > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return Json(static_cast<double>(v));
      return Json(static_cast<std::int64_t>(v));
    }
    case Nlohmann::value_t::number_float: return Json(in.get<double>());
    case Nlohmann::value_t::string: return Json(in.get<std::string>());
    case Nlohmann::value_t::array: {
      Json::Array out;
      out.reserve(in.size());
      for (const auto& item : in) {
        SOTTO_TRY(auto value, convert(item, depth + 1, origin));
        out.push_back(std::move(value));
      }
      return Json(std::move(out));
    }
    case Nlohmann::value_t::object: {
      Json::Object out;
      out.reserve(in.size());
      for (const auto& [name, item] : in.items()) {
        SOTTO_TRY(auto value, convert(item, depth + 1, origin));
        out.emplace_back(name, std::move(value));
      }
      return Json(std::move(out));
    }
    case Nlohmann::value_t::null:
    case Nlohmann::value_t::binary:
    case Nlohmann::value_t::discarded: return Json();
  }
  SOTTO_CHECK(false);
}

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
    for (const auto& [name, item] : in.members()) out[name] = to_nlohmann(item);
    return out;
  }
  return nullptr;
}

Error wrong_type(std::string_view name, const char* wanted) {
  return invalid("field '" + std::string(name) + "' is not " + wanted);
}

}  // namespace

Result<Json> Json::parse(std::string_view text, std::string_view origin) {
  try {
    return convert(Nlohmann::parse(text), 0, origin);
  } catch (const nlohmann::json::parse_error& e) {
    const auto until = text.substr(0, std::min(text.size(), e.byte));
    const auto line = 1 + std::count(until.begin(), until.end(), '\n');
    return invalid(std::string(origin) + ":" + std::to_string(line) + ": not valid JSON (near byte " + std::to_string(e.byte) + ")");
  } catch (const nlohmann::json::exception& e) {
    return invalid(std::string(origin) + ": not valid JSON: " + e.what());
  }
}

Result<Json> Json::read_file(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  return parse(text, path);
}

std::string Json::dump(int indent) const {
  return to_nlohmann(*this).dump(indent, ' ', false, Nlohmann::error_handler_t::replace);
}

bool Json::as_bool() const { SOTTO_CHECK(is_bool()); return std::get<bool>(value_); }
std::int64_t Json::as_int() const { SOTTO_CHECK(is_int()); return std::get<std::int64_t>(value_); }

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

const std::string& Json::as_string() const { SOTTO_CHECK(is_string()); return std::get<std::string>(value_); }
const Json::Array& Json::items() const { SOTTO_CHECK(is_array()); return std::get<Array>(value_); }
const Json::Object& Json::members() const { SOTTO_CHECK(is_object()); return std::get<Object>(value_); }

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

const Json& Json::at(std::size_t index) const { SOTTO_CHECK(index < items().size()); return items()[index]; }

Result<std::string> Json::get_string(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_string()) return wrong_type(name, "a string");
  return v->as_string();
}

Result<std::int64_t> Json::get_int(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_int()) return wrong_type(name, "an integer");
  return v->as_int();
}

Result<double> Json::get_double(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_number()) return wrong_type(name, "a number");
  return v->as_double();
}

Result<bool> Json::get_bool(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_bool()) return wrong_type(name, "true or false");
  return v->as_bool();
}

Result<const Json::Array*> Json::get_array(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_array()) return wrong_type(name, "an array");
  return &v->items();
}

Result<const Json::Object*> Json::get_object(std::string_view name) const {
  const Json* v = find(name);
  if (!v || !v->is_object()) return wrong_type(name, "an object");
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
