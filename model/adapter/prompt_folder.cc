#include "model/adapter/prompt_folder.h"

#include "base/files.h"
#include "model/adapter/peft_tensors.h"

namespace sotto::model {
namespace {

constexpr const char* kTensor = "prompt_embeddings";
constexpr std::int64_t kMostTokens = 1 << 20;

bool is_unset(const Json* value) { return value == nullptr || value->is_null(); }

}  // namespace

bool is_prompt_config(const Json& config) {
  const Json* type = config.find("peft_type");
  return type != nullptr && type->is_string() && type->as_string() == "PROMPT_TUNING";
}

Result<Adapter> load_prompt_folder(const std::string& folder, const Json& config, const ModelConfig& model) {
  const std::string origin = folder + "/adapter_config.json";
  if (!is_unset(config.find("modules_to_save")))
    return unsupported(origin + ": modules_to_save = " + config.at("modules_to_save").dump() +
                       " beside a prompt is not computed by this version; train the prompt without it");
  const Json* parts = config.find("num_transformer_submodules");
  if (!is_unset(parts) && !(parts->is_int() && parts->as_int() == 1))
    return unsupported(origin + ": num_transformer_submodules = " + parts->dump() +
                       " is for an encoder beside a decoder; 1 is read");
  const Json* tokens = config.find("num_virtual_tokens");
  if (is_unset(tokens) || !tokens->is_int() || tokens->as_int() < 1 || tokens->as_int() > kMostTokens)
    return invalid(origin + ": num_virtual_tokens = " + (tokens == nullptr ? "nothing" : tokens->dump()) +
                   " is not a number of tokens");
  const auto count = static_cast<std::uint32_t>(tokens->as_int());
  SOTTO_TRY(const auto file, data::SafetensorsFile::open(folder + "/adapter_model.safetensors"));
  TensorReader reader(file);
  Adapter adapter;
  adapter.lora.layout.prompt = {count, model.hidden_size, 1.0};
  SOTTO_TRY(adapter.lora.prompt, reader.read(kTensor, {count, model.hidden_size}));
  if (const auto unread = reader.unread(); !unread.empty())
    return unsupported(file.origin() + ": the tensor " + unread.front() + " is no part of a soft prompt");
  return adapter;
}

Result<void> save_prompt_folder(const std::string& folder, const AdapterState& prompt, const ModelConfig& model,
                                const std::string& base_model, const FileMetadata& metadata) {
  const auto& shape = prompt.layout.prompt;
  SOTTO_CHECK(shape.tokens > 0 && prompt.prompt.size() == std::size_t{shape.tokens} * shape.width);
  Json config = Json::object({{"auto_mapping", nullptr},
                              {"base_model_name_or_path", base_model},
                              {"inference_mode", true},
                              {"modules_to_save", nullptr},
                              {"num_attention_heads", model.heads},
                              {"num_layers", model.layers},
                              {"num_transformer_submodules", 1},
                              {"num_virtual_tokens", shape.tokens},
                              {"peft_type", "PROMPT_TUNING"},
                              {"peft_version", "0.21.2"},
                              {"prompt_tuning_init", "RANDOM"},
                              {"prompt_tuning_init_text", nullptr},
                              {"revision", nullptr},
                              {"task_type", "CAUSAL_LM"},
                              {"token_dim", shape.width},
                              {"tokenizer_kwargs", nullptr},
                              {"tokenizer_name_or_path", nullptr}});
  const ByteSpan bytes(reinterpret_cast<const std::uint8_t*>(prompt.prompt.data()), prompt.prompt.size() * sizeof(float));
  const std::vector<data::SafetensorsTensor> tensors = {
      {kTensor, data::SafetensorsType::kF32, {shape.tokens, shape.width}, bytes}};
  SOTTO_TRY_VOID(make_folder(folder));
  SOTTO_TRY_VOID(
      write_file_atomically(folder + "/adapter_model.safetensors", ByteSpan(data::encode_safetensors(tensors, metadata))));
  return write_file_atomically(folder + "/adapter_config.json", config.dump(2));
}

}  // namespace sotto::model
