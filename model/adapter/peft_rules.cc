// Which modules a PEFT configuration means: the half of peft_config.h that matches names.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/adapter/peft_config.h"

namespace sotto::model {
namespace {

using data::PythonRegex;

bool is_or_ends_in(const std::string& path, const std::string& name) { return path == name || path.ends_with("." + name); }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

// A list of texts, or nothing.
Result<std::vector<std::string>> texts(const Json& json, const char* field, const std::string& origin) {
  std::vector<std::string> out;
  const Json* value = json.find(field);
  if (value == nullptr || value->is_null()) return out;
  if (!value->is_array()) return invalid(origin + ": " + field + " = " + value->dump() + " is not a list of names");
  for (const auto& item : value->items()) {
    if (!item.is_string() || item.as_string().empty())
      return invalid(origin + ": " + field + " has " + item.dump() + ", which is no name");
    out.push_back(item.as_string());
  }
  return out;
}

}  // namespace

Result<PeftRules::Names> PeftRules::names(const Json& json, const char* field, const std::string& origin) {
  Names names;
  const Json* value = json.find(field);
  if (value != nullptr && value->is_string()) {
    if (value->as_string().empty()) return names;
    SOTTO_TRY(names.whole, PythonRegex::compile(value->as_string(), PythonRegex::Extent::kWhole, origin + ": " + field));
    return names;
  }
  SOTTO_TRY(names.ends, texts(json, field, origin));
  return names;
}

Result<std::vector<PeftRules::Pattern>> PeftRules::patterns(const Json& json, const char* field, const std::string& origin) {
  std::vector<Pattern> out;
  const Json* value = json.find(field);
  if (value == nullptr || value->is_null()) return out;
  if (!value->is_object())
    return invalid(origin + ": " + field + " = " + value->dump() + " is not an object of names and numbers");
  for (const auto& [key, number] : value->members()) {
    if (!number.is_number() || !std::isfinite(number.as_double()))
      return invalid(origin + ": " + field + "." + key + " = " + number.dump() + " is not a number");
    SOTTO_TRY(auto compiled,
              PythonRegex::compile("(.*\\.)?(" + key + ")$", PythonRegex::Extent::kPrefix, origin + ": " + field));
    out.push_back({std::move(compiled), number.as_double()});
  }
  return out;
}

Result<void> PeftRules::read_layers(const Json& json, const std::string& origin) {
  const Json *layers = json.find("layers_to_transform"), *pattern = json.find("layers_pattern");
  const bool has_layers = layers != nullptr && !layers->is_null();
  const bool has_pattern = pattern != nullptr && !pattern->is_null();
  if ((targets_.whole || all_linear_) && (has_layers || has_pattern))
    return invalid(origin + ": layers_to_transform and layers_pattern go with a list of target_modules, not with a text");
  for (const Json& item : !has_layers ? Json::Array{} : layers->is_array() ? layers->items() : Json::Array{*layers}) {
    if (!item.is_int() || item.as_int() < 0)
      return invalid(origin + ": layers_to_transform has " + item.dump() + ", which is no layer's number");
    layers_.push_back(item.as_int());
  }
  if (!has_pattern) return {};
  const Json list = pattern->is_string() ? Json::array({*pattern}) : *pattern;
  SOTTO_TRY(const auto expressions, texts(Json::object({{"layers_pattern", list}}), "layers_pattern", origin));
  for (const auto& expression : expressions) {
    SOTTO_TRY(auto compiled, PythonRegex::compile("(?:^|.*?\\.)" + expression + "\\.(?P<idx>\\d+)\\.",
                                                  PythonRegex::Extent::kPrefix, origin + ": layers_pattern"));
    layer_patterns_.push_back(std::move(compiled));
  }
  return {};
}

Result<PeftRules> PeftRules::make(const PeftConfig& config, const std::string& origin) {
  PeftRules rules;
  rules.rank_ = config.rank;
  rules.alpha_ = config.alpha;
  rules.rslora_ = config.rslora;
  const Json* targets = config.json.find("target_modules");
  rules.all_linear_ = targets != nullptr && targets->is_string() && lower(targets->as_string()) == "all-linear";
  if (!rules.all_linear_) {
    SOTTO_TRY(rules.targets_, names(config.json, "target_modules", origin));
    if (!rules.targets_.given())
      return invalid(origin + ": target_modules is missing or empty; it names the modules with LoRA");
  }
  SOTTO_TRY(rules.excluded_, names(config.json, "exclude_modules", origin));
  SOTTO_TRY_VOID(rules.read_layers(config.json, origin));
  SOTTO_TRY(rules.saved_, texts(config.json, "modules_to_save", origin));
  for (const auto& name : rules.saved_) {
    SOTTO_TRY(auto compiled, PythonRegex::compile("(^|.*\\.)" + name + "($|\\..*)", PythonRegex::Extent::kPrefix,
                                                  origin + ": modules_to_save"));
    rules.below_saved_.push_back(std::move(compiled));
  }
  SOTTO_TRY(rules.rank_pattern_, patterns(config.json, "rank_pattern", origin));
  SOTTO_TRY(rules.alpha_pattern_, patterns(config.json, "alpha_pattern", origin));
  for (const auto& [key, value] : rules.rank_pattern_)
    if (value != std::floor(value) || value < 1 || value > 65536)
      return invalid(origin + ": rank_pattern has the rank " + Json(value).dump() + "; ranks are whole and at least 1");
  return rules;
}

Result<bool> PeftRules::fits(const Names& names, const std::string& path) {
  if (names.whole) {
    SOTTO_TRY(const auto match, names.whole->match(path));
    return match.has_value();
  }
  return std::ranges::any_of(names.ends, [&](const auto& name) { return is_or_ends_in(path, name); });
}

Result<bool> PeftRules::is_excluded(const std::string& path) const {
  SOTTO_TRY(const bool excluded, fits(excluded_, path));
  if (excluded) return true;
  for (const auto& saved : below_saved_) {
    SOTTO_TRY(const auto match, saved.match(path));
    if (match) return true;
  }
  return false;
}

// The first number in the path that stands between dots, or the one behind a pattern's name.
Result<bool> PeftRules::is_in_layers(const std::string& path) const {
  std::optional<std::string> index;
  if (layer_patterns_.empty()) {
    SOTTO_TRY(const auto any,
              PythonRegex::compile(".*?\\.[^.]*\\.(?P<idx>\\d+)\\.", PythonRegex::Extent::kPrefix, "layers"));
    SOTTO_TRY(index, any.match(path, "idx"));
  }
  for (const auto& pattern : layer_patterns_) {
    SOTTO_TRY(index, pattern.match(path, "idx"));
    if (index) break;
  }
  std::int64_t layer = -1;
  if (index) std::from_chars(index->data(), index->data() + index->size(), layer);
  return std::ranges::find(layers_, layer) != layers_.end();
}

Result<bool> PeftRules::is_target(const std::string& path) const {
  SOTTO_TRY(const bool excluded, is_excluded(path));
  if (excluded) return false;
  if (all_linear_) return true;
  SOTTO_TRY(const bool named, fits(targets_, path));
  if (!named) return false;
  // A whole path in the list counts whatever layers_to_transform says.
  if (layers_.empty() || std::ranges::find(targets_.ends, path) != targets_.ends.end()) return true;
  return is_in_layers(path);
}

Result<std::optional<double>> PeftRules::first_fitting(const std::vector<Pattern>& patterns, const std::string& path) {
  for (const auto& [key, value] : patterns) {
    SOTTO_TRY(const auto match, key.match(path));
    if (match) return std::optional<double>(value);
  }
  return std::optional<double>();
}

Result<LoraModule> PeftRules::ranked(LoraModule module) const {
  SOTTO_TRY(const auto rank, first_fitting(rank_pattern_, module.path));
  SOTTO_TRY(const auto alpha, first_fitting(alpha_pattern_, module.path));
  module.rank = rank ? static_cast<std::uint32_t>(*rank) : rank_;
  const double r = module.rank;
  module.scale = alpha.value_or(alpha_) / (rslora_ ? std::sqrt(r) : r);
  return module;
}

bool PeftRules::is_saved(const std::string& path) const {
  return std::ranges::any_of(saved_, [&](const auto& name) { return path.ends_with(name); });
}

}  // namespace sotto::model
