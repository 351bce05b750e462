// Adapters as Hugging Face PEFT stores them: adapter_config.json (peft_config.h) and adapter_model.safetensors in a folder,
// tensors named base_model.model.<module>.lora_A.weight [rank, in], .lora_B.weight [out, rank] and, for DoRA,
// .lora_magnitude_vector [out]; trained biases and modules saved whole under base_model.model.<parameter>. What PEFT writes
// loads here and the other way round, byte for byte. A folder with a soft prompt loads, too (prompt_folder.h).
#pragma once

#include <map>
#include <string>

#include "model/adapter/adapter.h"
#include "model/adapter/peft_config.h"

namespace sotto::model {

using FileMetadata = std::map<std::string, std::string, std::less<>>;

// Every module that the configuration names has to be in the file, and everything in the file has to be one of them or a
// parameter that the configuration says is saved, in the model's shapes, finite, F32, F16 or BF16. Else refused by name.
Result<Adapter> load_peft_folder(const std::string& folder, const ModelConfig& config);

// Makes the folder. fp32. `adapter` fits `config` and `model` (a broken invariant otherwise). `metadata` is what stands in
// the file beside the tensors; "format": "pt" is what PEFT writes.
Result<void> save_peft_folder(const std::string& folder, const Adapter& adapter, const PeftConfig& config,
                              const ModelConfig& model, const FileMetadata& metadata = {{"format", "pt"}});

// What stands in an adapter's folder beside its numbers.
struct AdapterFolder {
  LoraPlan lora;                               // the settings that it was trained with; of a prompt: not read
  std::string base_model;                      // the name that PEFT records
  FileMetadata metadata = {{"format", "pt"}};  // of the tensors' file
};

// What a run trained, as the folder that PEFT loads: LoRA with the plan's settings, or a prompt (prompt_folder.h).
Result<void> save_adapter_folder(const std::string& folder, const Adapter& adapter, const AdapterFolder& beside,
                                 const ModelConfig& model);

}  // namespace sotto::model
