// What a tokenizer is made from: a plain value, read from a GGUF file's metadata or a Hugging Face folder. Byte-level BPE
// only: every byte stands for one printable character (GPT-2's byte-to-unicode table), tokens and merges are strings of
// those. Anything in a source that would change the token ids and is not known here is refused by its name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sotto::data {

class GgufFile;

enum class PreTokenizer {
  kGpt2,            // GPT-2's regular expression
  kDigitsThenGpt2,  // every number character (Unicode N) alone, then GPT-2's expression on what lies between ("smollm")
};

struct TokenizerSpec {
  std::vector<std::string> tokens;                          // by id; byte-level strings, control tokens as their plain text
  std::vector<std::pair<std::string, std::string>> merges;  // in rank order, first is merged first
  PreTokenizer pre_tokenizer = PreTokenizer::kDigitsThenGpt2;
  std::vector<std::int32_t> control_ids;  // special tokens: <|im_start|> and the like, ascending
  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
  bool add_bos = false;
  bool add_eos = false;
  std::string chat_template;  // Jinja text as the model brings it; empty when it brings none
};

// From `tokenizer.ggml.*` and `tokenizer.chat_template`; model "gpt2", pre "smollm" or "gpt-2".
Result<TokenizerSpec> tokenizer_spec(const GgufFile& file);
// From `tokenizer.json`, with chat template and BOS/EOS from `tokenizer_config.json` (and `chat_template.jinja` if present).
Result<TokenizerSpec> tokenizer_spec_from_folder(const std::string& folder);
// Either: `path` is a GGUF file or a folder.
Result<TokenizerSpec> load_tokenizer_spec(const std::string& path);

}  // namespace sotto::data
