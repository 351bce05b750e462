#include "client/text/adapter_file.h"

#include "base/files.h"
#include "data/files/safetensors_file.h"
#include "lineage/weights.h"
#include "model/adapter/peft_config.h"
#include "model/adapter/prompt_folder.h"

namespace sotto::client {
namespace {

constexpr std::string_view kPrefix = "base_model.model.", kSuffix = ".lora_A.weight";

std::string tensors_file(const std::string& folder) { return folder + "/adapter_model.safetensors"; }
std::string config_file(const std::string& folder) { return folder + "/adapter_config.json"; }

// Scale of each module that has LoRA factors, as the configuration gives it.
Result<std::map<std::string, double>> scales_of(const data::SafetensorsFile& file, const model::PeftRules& rules) {
  std::map<std::string, double> out;
  for (const auto& tensor : file.tensors()) {
    const std::string_view name = tensor.name;
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    const std::string path(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size()));
    SOTTO_TRY(const LoraModule module, rules.ranked({path, 0, 0, 0, 1.0}));
    out[path] = module.scale;
  }
  return out;
}

Result<Digest> weights_in(const data::SafetensorsFile& file, const std::string& folder) {
  SOTTO_TRY(const Json json, Json::read_file(config_file(folder)));
  std::map<std::string, double> scales;
  if (!model::is_prompt_config(json)) {  // a prompt has none
    SOTTO_TRY(const auto config, model::read_peft_config(config_file(folder)));
    SOTTO_TRY(const auto rules, model::PeftRules::make(config, config_file(folder)));
    SOTTO_TRY(scales, scales_of(file, rules));
  }
  std::vector<lineage::NamedTensor> tensors;
  for (const auto& t : file.tensors()) tensors.push_back({t.name, data::to_string(t.type), t.shape, file.bytes(t)});
  return lineage::weights_of(std::move(tensors), scales);
}

}  // namespace

Result<Digest> weights_of_folder(const std::string& folder) {
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(tensors_file(folder)));
  return weights_in(file, folder);
}

Result<std::optional<lineage::Passport>> read_passport(const std::string& folder) {
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(tensors_file(folder)));
  const auto text = file.metadata().find(lineage::kPassportKey);
  if (text == file.metadata().end()) return std::optional<lineage::Passport>();
  SOTTO_TRY(auto passport, lineage::parse_passport(text->second, file.origin()));
  SOTTO_TRY(const Digest weights, weights_in(file, folder));
  if (weights != passport.model)
    return refused(file.origin() + ": the passport is of model " + passport.short_id() + ", and the weights are those of " +
                   to_hex(weights).substr(0, 12) + "; the file was changed after its training");
  return std::optional(std::move(passport));
}

std::map<std::string, std::string, std::less<>> metadata_with(const Json& passport) {
  return {{"format", "pt"}, {lineage::kPassportKey, passport.dump()}};
}

Result<void> copy_adapter(const std::string& from, const std::string& to, const Json& passport) {
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(tensors_file(from)));
  SOTTO_TRY(const std::string config, read_text_file(config_file(from)));
  std::vector<data::SafetensorsTensor> tensors;
  for (const auto& t : file.tensors()) tensors.push_back({t.name, t.type, t.shape, file.bytes(t)});
  auto metadata = file.metadata();
  metadata.insert_or_assign(lineage::kPassportKey, passport.dump());
  const Bytes bytes = data::encode_safetensors(tensors, metadata);
  SOTTO_TRY_VOID(make_folder(to));
  SOTTO_TRY_VOID(write_file_atomically(tensors_file(to), ByteSpan(bytes)));
  return write_file_atomically(config_file(to), config);
}

}  // namespace sotto::client
