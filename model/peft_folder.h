// Adapters as Hugging Face PEFT stores them: adapter_config.json and adapter_model.safetensors in a folder, tensors named
// base_model.model.<module>.lora_A.weight [rank, in] and .lora_B.weight [out, rank]. What PEFT writes loads here and the
// other way round. A setting that would change the result and is not supported (DoRA, biases, other adapter kinds, modules
// saved besides ...) is refused by its name.
#pragma once

#include <string>

#include "base/adapter.h"
#include "model/model_config.h"

namespace sotto::model {

// Ranks and alphas may differ by module (rank_pattern, alpha_pattern: keys match the end of the module's path). Every module
// of the file must be a linear layer of `config`, with fitting shapes.
Result<AdapterState> load_peft_folder(const std::string& folder, const ModelConfig& config);

// `base_model` is written as base_model_name_or_path. Makes the folder. fp32.
Result<void> save_peft_folder(const std::string& folder, const AdapterState& state, const std::string& base_model);

}  // namespace sotto::model
