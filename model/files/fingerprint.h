// Which model this is, without loading it: the hash that a run plan names and a site's policy compares.
#pragma once

#include <string>

#include "base/bytes.h"

namespace sotto::model {

// SHA-256 over the names and SHA-256 hashes of the files that decide what text gives what numbers: of a Hugging Face folder
// config.json, model.safetensors (or all files that its index names, sorted) and, where present, tokenizer.json,
// tokenizer_config.json, chat_template.jinja, special_tokens_map.json and added_tokens.json, in this order; of anything else
// the single file, without its name. Fails when a file cannot be read.
Result<Digest> model_hash(const std::string& path);

}  // namespace sotto::model
