#include "data/tokenizer_spec.h"

#include <filesystem>

#include "data/gguf_file.h"

namespace sotto::data {
namespace {

// llama.h, enum llama_token_type: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
constexpr std::uint64_t kNormalToken = 1;
constexpr std::uint64_t kControlToken = 3;
constexpr std::uint64_t kUnusedToken = 5;

Result<std::optional<std::int32_t>> read_id(const GgufFile& file, std::string_view key, std::size_t vocabulary) {
  if (file.find(key) == nullptr) return std::optional<std::int32_t>();
  SOTTO_TRY(const auto id, file.get_uint(key));
  if (id >= vocabulary)
    return invalid(file.origin() + ": metadata '" + std::string(key) + "' is " + std::to_string(id) +
                   ", outside the vocabulary of " + std::to_string(vocabulary) + " tokens");
  return std::optional(static_cast<std::int32_t>(id));
}

Result<bool> read_flag(const GgufFile& file, std::string_view key) {
  if (file.find(key) == nullptr) return false;
  return file.get_bool(key);
}

Result<std::vector<std::uint64_t>> read_token_types(const GgufFile& file, std::size_t vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  const GgufValue* value = file.find(kKey);
  std::vector<std::uint64_t> types;
  if (value != nullptr)
    if (const auto* v = std::get_if<std::vector<std::int64_t>>(value)) types.assign(v->begin(), v->end());
  if (value != nullptr)
    if (const auto* v = std::get_if<std::vector<std::uint64_t>>(value)) types = *v;
  if (types.size() != vocabulary)
    return invalid(file.origin() + ": metadata '" + std::string(kKey) + "' is no list of " + std::to_string(vocabulary) +
                   " integers, one a token");
  return types;
}

// "left right": the separator is the only space, because byte-level strings hold none.
Result<std::pair<std::string, std::string>> split_merge(const std::string& text, const std::string& origin,
                                                        std::size_t rank) {
  const auto space = text.find(' ');
  if (space == 0 || space == std::string::npos || space + 1 == text.size() || text.find(' ', space + 1) != std::string::npos)
    return invalid(origin + ": merge " + std::to_string(rank) + " '" + text.substr(0, 60) + "' is no pair of tokens");
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

}  // namespace

Result<TokenizerSpec> tokenizer_spec(const GgufFile& file) {
  SOTTO_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
  if (model != "gpt2")
    return unsupported(file.origin() + ": tokenizer.ggml.model is '" + model +
                       "'; this version reads byte-level BPE, 'gpt2'");
  TokenizerSpec out;
  SOTTO_TRY(const auto pre, file.get_string("tokenizer.ggml.pre"));
  if (pre == "smollm")
    out.pre_tokenizer = PreTokenizer::kDigitsThenGpt2;
  else if (pre == "gpt-2")
    out.pre_tokenizer = PreTokenizer::kGpt2;
  else
    return unsupported(file.origin() + ": tokenizer.ggml.pre is '" + pre + "'; this version reads 'smollm' and 'gpt-2'");
  SOTTO_TRY(const bool space_prefix, read_flag(file, "tokenizer.ggml.add_space_prefix"));
  if (space_prefix)
    return unsupported(file.origin() + ": tokenizer.ggml.add_space_prefix is true, which this version does not do");
  SOTTO_TRY(out.add_bos, read_flag(file, "tokenizer.ggml.add_bos_token"));
  SOTTO_TRY(out.add_eos, read_flag(file, "tokenizer.ggml.add_eos_token"));

  SOTTO_TRY(const auto* tokens, file.get_strings("tokenizer.ggml.tokens"));
  out.tokens = *tokens;
  SOTTO_TRY(const auto types, read_token_types(file, tokens->size()));
  for (std::size_t id = 0; id < types.size(); ++id) {
    if (types[id] == kControlToken)
      out.control_ids.push_back(static_cast<std::int32_t>(id));
    else if (types[id] != kNormalToken && types[id] != kUnusedToken)
      return unsupported(file.origin() + ": token " + std::to_string(id) + " '" + (*tokens)[id].substr(0, 60) +
                         "' is of type " + std::to_string(types[id]) +
                         "; this version reads normal, control and unused tokens");
  }
  SOTTO_TRY(const auto* merges, file.get_strings("tokenizer.ggml.merges"));
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    SOTTO_TRY(auto pair, split_merge((*merges)[rank], file.origin(), rank));
    out.merges.push_back(std::move(pair));
  }
  SOTTO_TRY(out.bos, read_id(file, "tokenizer.ggml.bos_token_id", tokens->size()));
  SOTTO_TRY(out.eos, read_id(file, "tokenizer.ggml.eos_token_id", tokens->size()));
  if (file.find("tokenizer.chat_template") != nullptr) {
    SOTTO_TRY(out.chat_template, file.get_string("tokenizer.chat_template"));
  }
  return out;
}

Result<TokenizerSpec> load_tokenizer_spec(const std::string& path) {
  if (std::filesystem::is_directory(path)) return tokenizer_spec_from_folder(path);
  SOTTO_TRY(const auto file, GgufFile::open(path));
  return tokenizer_spec(file);
}

}  // namespace sotto::data
