// A model's shape as a config.json: the other half of hugging_face_config.cc, for models that came as GGUF files. No
// tensors.
#pragma once

#include "base/json.h"
#include "model/files/model_config.h"

namespace sotto::model {

// Refused: what a GGUF file says that config.json has no field for. The result, read again, is the same computation.
Result<Json> hugging_face_config(const ModelConfig& config);

// Equal, but that formats store numbers in fp32 or as decimals, and that Mistral's GGUF files are of the llama architecture.
bool same_computation(const ModelConfig& a, const ModelConfig& b);

}  // namespace sotto::model
