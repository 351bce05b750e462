// What a GGUF file says about a model besides its tensors (keys: llama.cpp, gguf-py/gguf/constants.py): the other half of
// gguf_config.cc. No tensors.
#pragma once

#include <string>

#include "data/files/gguf_writer.h"
#include "model/files/dequantize.h"
#include "model/files/model_config.h"

namespace sotto::data {
class GgufFile;
}

namespace sotto::model {

const char* gguf_architecture(const ModelConfig& config);  // "llama"

// Of a whole model: general.* and the architecture's own keys. `format` is that of the large tensors.
data::GgufMetadata gguf_metadata(const ModelConfig& config, const std::string& name, NumberFormat format);
// The same as another GGUF file has it, tokenizer included, but for the format.
data::GgufMetadata gguf_metadata(const data::GgufFile& file, NumberFormat format);

}  // namespace sotto::model
