#include "model/peft_folder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "data/safetensors_file.h"
#include "model/dequantize.h"
#include "model/lora.h"

namespace sotto::model {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight", kSuffixB = ".lora_B.weight";

std::string tensor_name(const LoraModule& module, std::string_view suffix) {
  return std::string(kPrefix) + module.path + std::string(suffix);
}

// Settings that must be absent, null, false, empty or zero: each would change what the adapter computes.
constexpr const char* kUnsupported[] = {"use_dora",
                                        "use_qalora",
                                        "use_bdlora",
                                        "lora_bias",
                                        "modules_to_save",
                                        "fan_in_fan_out",
                                        "layer_replication",
                                        "megatron_config",
                                        "trainable_token_indices",
                                        "target_parameters",
                                        "alora_invocation_tokens",
                                        "arrow_config",
                                        "kasa_config",
                                        "monteclora_config",
                                        "velora_config"};

bool is_off(const Json& value) {
  if (value.is_bool()) return !value.as_bool();
  if (value.is_array()) return value.items().empty();
  if (value.is_object()) return value.members().empty();
  return value.is_null();
}

using Patterns = std::vector<std::pair<std::string, double>>;  // in the file's order: the first match counts

struct PeftConfig {
  std::uint32_t rank = 0;
  double alpha = 0;
  bool rslora = false;
  Patterns rank_pattern;
  Patterns alpha_pattern;
};

Result<Patterns> pattern(const Json& json, const char* field, const std::string& origin) {
  Patterns out;
  const Json* value = json.find(field);
  if (value == nullptr || value->is_null()) return out;
  SOTTO_TRY(const auto* members, json.get_object(field));
  for (const auto& [key, number] : *members) {
    // PEFT takes keys as regular expressions; a plain path is one that matches itself (and is all that PEFT's tools write).
    if (key.find_first_of("^$*+?()[]{}|\\") != std::string::npos)
      return unsupported(origin + ": " + field + " has the key \"" + key +
                         "\"; this version reads plain module paths, no regular "
                         "expressions");
    if (!number.is_number() || !(number.as_double() > 0))
      return invalid(origin + ": " + field + "." + key + " is not above 0");
    out.emplace_back(key, number.as_double());
  }
  return out;
}

Result<PeftConfig> read_config(const std::string& path) {
  SOTTO_TRY(const auto json, Json::read_file(path));
  SOTTO_TRY(const auto type, json.get_string("peft_type"));
  if (type != "LORA") return unsupported(path + ": peft_type = \"" + type + "\" is not supported (\"LORA\" is)");
  for (const char* name : kUnsupported) {
    const Json* value = json.find(name);
    if (value != nullptr && !is_off(*value))
      return unsupported(path + ": " + name + " = " + value->dump() +
                         " is not supported by this version; train the adapter without it");
  }
  if (const Json* bias = json.find("bias"); bias != nullptr && !(bias->is_string() && bias->as_string() == "none"))
    return unsupported(path + ": bias = " + bias->dump() + " is not supported (\"none\" is)");
  PeftConfig config;
  SOTTO_TRY(const auto rank, json.get_int("r"));
  if (rank < 1 || rank > 65536) return invalid(path + ": r = " + std::to_string(rank) + " is not a rank");
  config.rank = static_cast<std::uint32_t>(rank);
  SOTTO_TRY(config.alpha, json.get_double("lora_alpha"));
  if (!(std::isfinite(config.alpha) && config.alpha > 0)) return invalid(path + ": lora_alpha is not above 0");
  const Json* rslora = json.find("use_rslora");
  config.rslora = rslora != nullptr && rslora->is_bool() && rslora->as_bool();
  SOTTO_TRY(config.rank_pattern, pattern(json, "rank_pattern", path));
  SOTTO_TRY(config.alpha_pattern, pattern(json, "alpha_pattern", path));
  return config;
}

// PEFT's rule: a key matches the whole path or its end from a dot on.
double value_for(const std::string& path, const Patterns& patterns, double fallback) {
  for (const auto& [key, value] : patterns)
    if (path == key || path.ends_with("." + key)) return value;
  return fallback;
}

Result<std::vector<float>> read_factor(const data::SafetensorsFile& file, const std::string& name,
                                       const std::vector<std::uint64_t>& shape) {
  const auto* tensor = file.find_tensor(name);
  if (tensor == nullptr) return invalid(file.origin() + ": the tensor " + name + " is missing; the adapter is incomplete");
  if (tensor->shape != shape)
    return invalid(file.origin() + ": the tensor " + name +
                   " does not have the shape that its rank and the model ask for, [" + std::to_string(shape[0]) + ", " +
                   std::to_string(shape[1]) + "]; it belongs to another model");
  NumberFormat format = NumberFormat::kF32;
  if (tensor->type == data::SafetensorsType::kF16)
    format = NumberFormat::kF16;
  else if (tensor->type == data::SafetensorsType::kBF16)
    format = NumberFormat::kBF16;
  else if (tensor->type != data::SafetensorsType::kF32)
    return unsupported(file.origin() + ": the tensor " + name + " has type " + to_string(tensor->type) +
                       " (F32, F16 and BF16 are read)");
  auto values = to_floats(format, file.bytes(*tensor), tensor->elements);
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return invalid(file.origin() + ": the tensor " + name + " has values that are not finite");
  return values;
}

Json pattern_json(const AdapterLayout& layout, bool ranks, std::uint32_t rank, double alpha) {
  Json out = Json::object();
  for (const auto& m : layout.modules) {
    const double module_alpha = m.scale * m.rank;
    if (ranks && m.rank != rank) out.set(m.path, m.rank);
    if (!ranks && module_alpha != alpha) out.set(m.path, module_alpha);
  }
  return out;
}

// PEFT's own fields, so that what it loads is what we computed: scale = alpha / r whatever way it came about.
Json config_json(const AdapterLayout& layout, const std::string& base_model) {
  const auto& first = layout.modules.front();
  const double alpha = first.scale * first.rank;
  std::set<std::string> targets;
  for (const auto& m : layout.modules) targets.insert(m.path);
  Json target_modules = Json::array();
  for (const auto& target : targets) target_modules.push(target);
  return Json::object({{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base_model},
                       {"inference_mode", true},
                       {"r", first.rank},
                       {"lora_alpha", alpha},
                       {"lora_dropout", 0.0},
                       {"target_modules", target_modules},
                       {"rank_pattern", pattern_json(layout, true, first.rank, alpha)},
                       {"alpha_pattern", pattern_json(layout, false, first.rank, alpha)},
                       {"use_rslora", false},
                       {"use_dora", false},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"init_lora_weights", true},
                       {"modules_to_save", nullptr}});
}

}  // namespace

Result<AdapterState> load_peft_folder(const std::string& folder, const ModelConfig& config) {
  SOTTO_TRY(const auto peft, read_config(folder + "/adapter_config.json"));
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(folder + "/adapter_model.safetensors"));
  AdapterState state;
  std::size_t used = 0;
  for (auto module : linear_modules(config)) {
    if (file.find_tensor(tensor_name(module, kSuffixA)) == nullptr &&
        file.find_tensor(tensor_name(module, kSuffixB)) == nullptr)
      continue;
    module.rank = static_cast<std::uint32_t>(value_for(module.path, peft.rank_pattern, peft.rank));
    const double alpha = value_for(module.path, peft.alpha_pattern, peft.alpha);
    module.scale = alpha / (peft.rslora ? std::sqrt(static_cast<double>(module.rank)) : static_cast<double>(module.rank));
    LoraFactors factors;
    SOTTO_TRY(factors.a, read_factor(file, tensor_name(module, kSuffixA), {module.rank, module.in}));
    SOTTO_TRY(factors.b, read_factor(file, tensor_name(module, kSuffixB), {module.out, module.rank}));
    state.layout.modules.push_back(module);
    state.factors.push_back(std::move(factors));
    used += 2;
  }
  if (used == file.tensors().size() && used > 0) return state;
  for (const auto& tensor : file.tensors()) {
    const auto known = [&](const LoraModule& m) {
      return tensor.name == tensor_name(m, kSuffixA) || tensor.name == tensor_name(m, kSuffixB);
    };
    if (std::ranges::none_of(state.layout.modules, known))
      return unsupported(file.origin() + ": the tensor " + tensor.name + " belongs to no linear layer of this model");
  }
  return invalid(file.origin() + ": no LoRA tensors in it");
}

Result<void> save_peft_folder(const std::string& folder, const AdapterState& state, const std::string& base_model) {
  SOTTO_CHECK(!state.layout.modules.empty() && state.factors.size() == state.layout.modules.size());
  std::vector<data::SafetensorsTensor> tensors;
  const auto bytes_of = [](const std::vector<float>& values) {
    static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");
    return ByteSpan(reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float));
  };
  for (std::size_t i = 0; i < state.factors.size(); ++i) {
    const auto& m = state.layout.modules[i];
    tensors.push_back({tensor_name(m, kSuffixA), data::SafetensorsType::kF32, {m.rank, m.in}, bytes_of(state.factors[i].a)});
    tensors.push_back(
        {tensor_name(m, kSuffixB), data::SafetensorsType::kF32, {m.out, m.rank}, bytes_of(state.factors[i].b)});
  }
  SOTTO_TRY_VOID(make_folder(folder));
  SOTTO_TRY_VOID(write_file_atomically(folder + "/adapter_model.safetensors",
                                       ByteSpan(data::encode_safetensors(tensors, {{"format", "pt"}}))));
  return write_file_atomically(folder + "/adapter_config.json", config_json(state.layout, base_model).dump(2) + "\n");
}

}  // namespace sotto::model
