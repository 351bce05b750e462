#include "model/adapter/peft_folder.h"

#include <algorithm>
#include <bit>

#include "base/files.h"
#include "data/files/safetensors_file.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_tensors.h"
#include "model/adapter/prompt_folder.h"

namespace sotto::model {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight", kSuffixB = ".lora_B.weight", kMagnitude = ".lora_magnitude_vector";
constexpr std::string_view kWrapped = ".base_layer";  // a parameter of a layer that LoRA lies on

std::string prefixed(std::string_view name, std::string_view suffix = "") {
  return std::string(kPrefix) + std::string(name) + std::string(suffix);
}

std::string module_of(const std::string& parameter) { return parameter.substr(0, parameter.rfind('.')); }

Result<void> read_lora(TensorReader& file, const PeftRules& rules, bool dora, const ModelConfig& model, Adapter& adapter) {
  for (const auto& linear : linear_modules(model)) {
    SOTTO_TRY(const bool is_target, rules.is_target(linear.path));
    if (!is_target) continue;
    SOTTO_TRY(const LoraModule module, rules.ranked(linear));
    LoraFactors factors;
    SOTTO_TRY(factors.a, file.read(prefixed(module.path, kSuffixA), {module.rank, module.in}));
    SOTTO_TRY(factors.b, file.read(prefixed(module.path, kSuffixB), {module.out, module.rank}));
    if (dora) {
      SOTTO_TRY(auto magnitude, file.read(prefixed(module.path, kMagnitude), {module.out}));
      adapter.magnitudes.push_back(std::move(magnitude));
    }
    adapter.lora.layout.modules.push_back(module);
    adapter.lora.factors.push_back(std::move(factors));
  }
  return {};
}

bool is_on(const AdapterState& lora, const std::string& module) {
  return std::ranges::find(lora.layout.modules, module, &LoraModule::path) != lora.layout.modules.end();
}

// Whether PEFT saves this parameter of the model beside the factors.
bool is_kept(const std::string& parameter, const PeftConfig& config, const PeftRules& rules, const AdapterState& lora) {
  const std::string module = module_of(parameter);
  if (rules.is_saved(module)) return true;
  if (!parameter.ends_with(".bias")) return false;
  return config.bias == BiasKind::kAll || (config.bias == BiasKind::kLoraOnly && is_on(lora, module));
}

std::string stored_name(const std::string& parameter, const AdapterState& lora) {
  const std::string module = module_of(parameter);
  if (!is_on(lora, module)) return prefixed(parameter);
  return prefixed(module, std::string(kWrapped) + parameter.substr(module.size()));
}

Result<void> read_parameter(TensorReader& file, const WeightInfo& info, const std::string& stored, Adapter& adapter) {
  SOTTO_TRY(auto values, file.read(stored, stored_shape(info)));
  adapter.replaced.insert_or_assign(info.name, Parameter{info.shape, from_stored(info, std::move(values))});
  return {};
}

Result<void> read_replaced(TensorReader& file, const PeftConfig& config, const PeftRules& rules, const ModelConfig& model,
                           Adapter& adapter) {
  ModelConfig untied = model;
  untied.tied_embeddings = false;
  for (const auto& info : weight_infos(untied))
    if (is_kept(info.name, config, rules, adapter.lora))
      SOTTO_TRY_VOID(read_parameter(file, info, stored_name(info.name, adapter.lora), adapter));
  const std::string embedding = outer_names(model).embedding + ".weight", head = outer_names(model).head + ".weight";
  const auto tie = [&] {
    if (model.tied_embeddings && !adapter.replaced.contains(head)) adapter.replaced[head] = adapter.replaced.at(embedding);
  };
  if (config.ties_saved && adapter.replaced.contains(embedding)) tie();
  // PEFT also adds the embeddings of a model on its own account (save_embedding_layers). Loading writes them into the base's
  // parameter, which a tied head shares.
  for (const auto& name : file.unread()) {
    if (name != prefixed(embedding) && name != prefixed(head)) continue;
    SOTTO_TRY_VOID(read_parameter(file, *find_parameter(model, name.substr(kPrefix.size())), name, adapter));
    if (name == prefixed(embedding)) tie();
  }
  return {};
}

}  // namespace

Result<Adapter> load_peft_folder(const std::string& folder, const ModelConfig& model) {
  const std::string origin = folder + "/adapter_config.json";
  SOTTO_TRY(auto json, Json::read_file(origin));
  if (is_prompt_config(json)) return load_prompt_folder(folder, json, model);
  SOTTO_TRY(const auto config, parse_peft_config(std::move(json), origin));
  SOTTO_TRY(const auto rules, PeftRules::make(config, origin));
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(folder + "/adapter_model.safetensors"));
  Adapter adapter;
  TensorReader reader(file);
  SOTTO_TRY_VOID(read_lora(reader, rules, config.dora, model, adapter));
  if (adapter.lora.factors.empty())
    return invalid(origin + ": target_modules = " + config.json.at("target_modules").dump() +
                   " matches no linear layer of this model; the adapter belongs to another one");
  SOTTO_TRY_VOID(read_replaced(reader, config, rules, model, adapter));
  if (const auto unread = reader.unread(); !unread.empty())
    return unsupported(file.origin() + ": the tensor " + unread.front() +
                       " belongs to no module that adapter_config.json names, " +
                       "or to one that this version puts no adapter on");
  return adapter;
}

Result<void> save_peft_folder(const std::string& folder, const Adapter& adapter, const PeftConfig& config,
                              const ModelConfig& model, const std::map<std::string, std::string, std::less<>>& metadata) {
  static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");
  const auto& modules = adapter.lora.layout.modules;
  SOTTO_CHECK(!modules.empty() && adapter.lora.factors.size() == modules.size());
  SOTTO_CHECK(adapter.is_dora() == config.dora && (!config.dora || adapter.magnitudes.size() == modules.size()));
  std::vector<data::SafetensorsTensor> tensors;
  const auto add = [&](std::string name, std::vector<std::uint64_t> shape, const std::vector<float>& values) {
    const ByteSpan bytes(reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float));
    tensors.push_back({std::move(name), data::SafetensorsType::kF32, std::move(shape), bytes});
  };
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const auto& m = modules[i];
    add(prefixed(m.path, kSuffixA), {m.rank, m.in}, adapter.lora.factors[i].a);
    add(prefixed(m.path, kSuffixB), {m.out, m.rank}, adapter.lora.factors[i].b);
    if (config.dora) add(prefixed(m.path, kMagnitude), {m.out}, adapter.magnitudes[i]);
  }
  std::vector<std::vector<float>> stored;  // what the tensors look at
  stored.reserve(adapter.replaced.size());
  for (const auto& [name, parameter] : adapter.replaced) {
    if (config.ties_saved && name == outer_names(model).head + ".weight") continue;
    const auto info = *find_parameter(model, name);
    stored.push_back(to_stored(info, parameter.values));
    add(stored_name(name, adapter.lora), stored_shape(info), stored.back());
  }
  std::ranges::sort(tensors, {}, &data::SafetensorsTensor::name);
  SOTTO_TRY_VOID(make_folder(folder));
  SOTTO_TRY_VOID(
      write_file_atomically(folder + "/adapter_model.safetensors", ByteSpan(data::encode_safetensors(tensors, metadata))));
  return write_file_atomically(folder + "/adapter_config.json", to_text(config));
}

Result<void> save_adapter_folder(const std::string& folder, const Adapter& adapter, const AdapterFolder& beside,
                                 const ModelConfig& model) {
  if (adapter.lora.layout.prompt.tokens > 0)
    return save_prompt_folder(folder, adapter.lora, model, beside.base_model, beside.metadata);
  auto config = peft_config(beside.lora, adapter.lora.layout, model, beside.base_model);
  if (adapter.is_dora()) config = with_dora(std::move(config));
  return save_peft_folder(folder, adapter, config, model, beside.metadata);
}

}  // namespace sotto::model
