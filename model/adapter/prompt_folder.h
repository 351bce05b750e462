// Soft prompts as Hugging Face PEFT stores them (peft_type PROMPT_TUNING): adapter_config.json and, in
// adapter_model.safetensors, prompt_embeddings [tokens, hidden size]. What PEFT writes loads here and the other way round.
#pragma once

#include <string>

#include "base/json.h"
#include "model/adapter/adapter.h"
#include "model/adapter/peft_folder.h"

namespace sotto::model {

// Whether an adapter_config.json is a soft prompt's.
bool is_prompt_config(const Json& config);

// `config` is the folder's adapter_config.json. Refused by file and field: another width than the model's embeddings,
// modules saved beside the prompt, values that are not finite, other tensors.
Result<Adapter> load_prompt_folder(const std::string& folder, const Json& config, const ModelConfig& model);

// Makes the folder. fp32. `base_model` is the name that PEFT records.
Result<void> save_prompt_folder(const std::string& folder, const AdapterState& prompt, const ModelConfig& model,
                                const std::string& base_model, const FileMetadata& metadata);

}  // namespace sotto::model
