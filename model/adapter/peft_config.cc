#include "model/adapter/peft_config.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "model/adapter/lora.h"

namespace sotto::model {
namespace {

constexpr std::int64_t kLargestRank = 65536;

// Fields that this version computes or that change nothing about what a saved adapter computes. Any other has to be off.
const std::set<std::string_view> kReadFields = {"peft_type",
                                                "r",
                                                "lora_alpha",
                                                "use_rslora",
                                                "use_dora",
                                                "bias",
                                                "target_modules",
                                                "rank_pattern",
                                                "alpha_pattern",
                                                "exclude_modules",
                                                "layers_to_transform",
                                                "layers_pattern",
                                                "modules_to_save",
                                                "ensure_weight_tying",
                                                "init_lora_weights"};
const std::set<std::string_view> kWithoutEffect = {
    "auto_mapping",     "base_model_name_or_path",
    "task_type",        "inference_mode",
    "lora_dropout",     "revision",
    "peft_version",     "fan_in_fan_out",  // PEFT sets it by the kind of layer
    "megatron_core",    "loftq_config",
    "eva_config",       "runtime_config",
    "qalora_group_size"};

bool is_text(const Json& value, std::string_view text) { return value.is_string() && value.as_string() == text; }

// How A and B were begun. The ways that are not here change the base's weights when the adapter is loaded.
const std::set<std::string_view> kHarmlessStarts = {"gaussian", "eva", "orthogonal"};

bool is_off(const Json& value) {
  if (value.is_bool()) return !value.as_bool();
  if (value.is_array()) return value.items().empty();
  if (value.is_object()) return value.members().empty();
  return value.is_null();
}

Result<bool> flag(const Json& json, const char* field, const std::string& origin) {
  const Json* value = json.find(field);
  if (value == nullptr || value->is_null()) return false;
  if (!value->is_bool()) return invalid(origin + ": " + field + " = " + value->dump() + " is not true or false");
  return value->as_bool();
}

Result<void> refuse_what_is_not_computed(const Json& json, const std::string& origin) {
  for (const auto& [name, value] : json.members())
    if (!kReadFields.contains(name) && !kWithoutEffect.contains(name) && !is_off(value))
      return unsupported(origin + ": " + name + " = " + value.dump() +
                         " is not computed by this version; train the adapter without it");
  const Json* start = json.find("init_lora_weights");
  if (start != nullptr && start->is_string() && !kHarmlessStarts.contains(start->as_string()))
    return unsupported(
        origin + ": init_lora_weights = " + start->dump() +
        " changes the base's weights when PEFT loads the adapter, which this version does not compute; save the "
        "adapter converted to plain LoRA (path_initial_model_for_weight_conversion)");
  return {};
}

Result<BiasKind> bias_kind(const Json& json, const std::string& origin) {
  const Json* bias = json.find("bias");
  if (bias == nullptr || is_text(*bias, "none")) return BiasKind::kNone;
  if (is_text(*bias, "all")) return BiasKind::kAll;
  if (is_text(*bias, "lora_only")) return BiasKind::kLoraOnly;
  return invalid(origin + ": bias = " + bias->dump() + " is not \"none\", \"all\" or \"lora_only\"");
}

// 8, not 8.0, as PEFT's own files have it.
Json number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return Json(static_cast<std::int64_t>(value));
  return Json(value);
}

// The last `components` of a path: "c_proj", "attn.c_proj".
std::string end_of(const std::string& path, int components) {
  std::size_t at = path.size();
  for (int i = 0; i < components && at != std::string::npos; ++i) at = path.rfind('.', at - 1);
  return at == std::string::npos ? path : path.substr(at + 1);
}

std::int64_t layer_of(const std::string& path) { return std::stoll(path.substr(path.find_first_of("0123456789"))); }

// The layout as PEFT's tools say it: the ends of the paths, as short as means these modules and no others, and the layers
// unless it is all of them; where there are no such ends, every path.
void set_targets(Json& json, const AdapterLayout& layout, const ModelConfig& model) {
  std::set<std::string> paths, names;
  std::set<std::int64_t> layers;
  for (const auto& m : layout.modules) {
    paths.insert(m.path);
    layers.insert(layer_of(m.path));
  }
  const auto means_these = [&](int components) {
    names.clear();
    for (const auto& path : paths) names.insert(end_of(path, components));
    return std::ranges::all_of(linear_modules(model), [&](const LoraModule& m) {
      return paths.contains(m.path) == (layers.contains(layer_of(m.path)) && names.contains(end_of(m.path, components)));
    });
  };
  const bool by_ends = means_these(1) || means_these(2);
  Json targets = Json::array();
  for (const auto& name : by_ends ? names : paths) targets.push(name);
  json.set("target_modules", std::move(targets));
  if (!by_ends || layers.size() == model.layers) return;
  Json numbers = Json::array();
  for (const auto layer : layers) numbers.push(layer);
  json.set("layers_to_transform", std::move(numbers));
}

// PEFT's fields, with the values that they have when nobody sets them.
Json default_fields() {
  Json json = Json::object();
  for (const char* name : {"alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config",
                           "exclude_modules", "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform",
                           "lora_ga_config", "megatron_config", "modules_to_save", "monteclora_config", "revision",
                           "target_parameters", "trainable_token_indices", "use_bdlora", "velora_config"})
    json.set(name, nullptr);
  for (const char* name : {"ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_dora", "use_qalora", "use_rslora"})
    json.set(name, false);
  for (const char* name : {"alpha_pattern", "loftq_config", "rank_pattern"}) json.set(name, Json::object());
  json.set("bias", "none");
  json.set("inference_mode", true);
  json.set("init_lora_weights", true);
  json.set("megatron_core", "megatron.core");
  json.set("peft_type", "LORA");
  json.set("peft_version", "0.21.2");
  json.set("qalora_group_size", 16);
  json.set("task_type", "CAUSAL_LM");
  return json;
}

Json sorted(const Json& json) {
  if (!json.is_object()) return json;
  std::map<std::string, Json> members;
  for (const auto& [name, value] : json.members()) members.emplace(name, sorted(value));
  Json out = Json::object();
  for (auto& [name, value] : members) out.set(name, std::move(value));
  return out;
}

}  // namespace

Result<PeftConfig> read_peft_config(const std::string& path) {
  SOTTO_TRY(auto json, Json::read_file(path));
  return parse_peft_config(std::move(json), path);
}

Result<PeftConfig> parse_peft_config(Json json, const std::string& origin) {
  if (!json.is_object()) return invalid(origin + ": not a JSON object");
  const Json* type = json.find("peft_type");
  if (type == nullptr) return invalid(origin + ": peft_type is missing; this is no adapter's configuration");
  if (!is_text(*type, "LORA"))
    return unsupported(origin + ": peft_type = " + type->dump() + " is not supported (\"LORA\" is)");
  SOTTO_TRY_VOID(refuse_what_is_not_computed(json, origin));
  PeftConfig config;
  const Json *rank = json.find("r"), *alpha = json.find("lora_alpha");
  if (rank == nullptr || !rank->is_int() || rank->as_int() < 1 || rank->as_int() > kLargestRank)
    return invalid(origin + ": r = " + (rank == nullptr ? "nothing" : rank->dump()) + " is not a rank from 1 to " +
                   std::to_string(kLargestRank));
  config.rank = static_cast<std::uint32_t>(rank->as_int());
  if (alpha == nullptr || !alpha->is_number() || !std::isfinite(alpha->as_double()))
    return invalid(origin + ": lora_alpha = " + (alpha == nullptr ? "nothing" : alpha->dump()) + " is not a number");
  config.alpha = alpha->as_double();
  SOTTO_TRY(config.rslora, flag(json, "use_rslora", origin));
  SOTTO_TRY(config.dora, flag(json, "use_dora", origin));
  SOTTO_TRY(config.ties_saved, flag(json, "ensure_weight_tying", origin));
  SOTTO_TRY(config.bias, bias_kind(json, origin));
  config.json = std::move(json);
  return config;
}

PeftConfig peft_config(const LoraPlan& plan, const AdapterLayout& layout, const ModelConfig& model,
                       const std::string& base_model) {
  PeftConfig config;
  config.rank = plan.rank;
  config.alpha = plan.alpha;
  config.rslora = plan.rslora;
  config.json = default_fields();
  config.json.set("base_model_name_or_path", base_model);
  config.json.set("r", plan.rank);
  config.json.set("lora_alpha", number(plan.alpha));
  config.json.set("lora_dropout", plan.dropout);
  config.json.set("use_rslora", plan.rslora);
  config.json.set("fan_in_fan_out", model.architecture == Architecture::kGpt2);  // its matrices lie transposed in the file
  set_targets(config.json, layout, model);
  return config;
}

PeftConfig with_dora(PeftConfig config) {
  config.dora = true;
  config.json.set("use_dora", true);
  return config;
}

std::string to_text(const PeftConfig& config) { return sorted(config.json).dump(2); }

}  // namespace sotto::model
