// Which model this is, without loading it: the hash that a run plan names and a site's policy compares.
#pragma once

#include <string>

#include "base/bytes.h"

namespace sotto::model {

// SHA-256 over (name, SHA-256 of the content) of the files that decide what the model computes: of a .gguf its single file; of a
// Hugging Face folder config.json, model.safetensors, tokenizer.json and, where present, tokenizer_config.json and
// chat_template.jinja, in this order. A .gguf's own name is not covered. Fails when a file cannot be read.
Result<Digest> model_hash(const std::string& path);

}  // namespace sotto::model
