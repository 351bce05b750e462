// SentencePiece-style BPE (Llama 2, Mistral, Gemma) in a GGUF file: tokenizer.ggml.model = "llama". Such files have a score
// for each token, and readers join the pair that makes the token of the highest score; tokenizer.json has ranked pairs. Both
// are written: the scores say the ranks' order, for llama.cpp, and the ranked pairs stand beside them, so that what this
// project reads back gives the same ids on every text (a score cannot tell which of two pairs that make one token goes
// first, nor leave a pair out). Private to `data`.
#pragma once

#include <string>

#include "data/files/gguf_writer.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

// Where a text gets a space in front: GGUF files have add_space_prefix, true or false. Newer tokenizers of Mistral and Llama
// 2 put one only where none stands, some only before the first word; this key of our own says which.
inline constexpr const char* kMetaspaceKey = "sotto.tokenizer.metaspace";  // "first", "always" or "never"

// Adds tokenizer.ggml.model, .scores and .add_space_prefix. Refused by name: steps that are not SentencePiece's, a
// vocabulary without all 256 byte tokens (llama.cpp would stop at a character that it does not know).
Result<void> put_sentence_piece(const TokenizerSpec& spec, const std::string& origin, std::uint32_t vocab_size,
                                GgufMetadata& out);

}  // namespace sotto::data
