// Tokenizers from one file format to the other: tokenizer.json with its tokenizer_config.json (Hugging Face), and
// tokenizer.* of a GGUF file. For models that change their format (merge, export); running a tokenizer is tokenizer.h.
// Byte-level BPE: which words a text is cut into first has a name in GGUF files ("smollm", "gpt-2", "llama-bpe", "qwen2")
// and is spelled out in tokenizer.json; what has no such pair here is refused by name. SentencePiece's BPE (Llama 2,
// Mistral, Gemma) goes to GGUF: sentence_piece.h.
#pragma once

#include <string>

#include "base/json.h"
#include "data/files/gguf_file.h"
#include "data/files/gguf_writer.h"

namespace sotto::data {

// Adds tokenizer.*; unused tokens fill up to the model's vocabulary. A folder without tokenizer.json gives
// tokenizer.ggml.model "none": llama.cpp then takes token ids alone.
Result<void> tokenizer_to_gguf(const std::string& folder, std::uint32_t vocab_size, GgufMetadata& metadata);

struct TokenizerFiles {
  Json tokenizer;  // tokenizer.json
  Json config;     // tokenizer_config.json, chat template included
};
Result<TokenizerFiles> tokenizer_from_gguf(const GgufFile& file);

}  // namespace sotto::data
