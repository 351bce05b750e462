#include "data/tokenizer/tokenizer_spec.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "data/files/gguf_file.h"
#include "data/tokenizer/sentence_piece.h"

namespace sotto::data {
namespace {

constexpr std::string_view kMetaspace = "\xe2\x96\x81";

// llama.h, enum llama_token_type.
enum TokenType : std::uint64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// tokenizer.ggml.pre, as llama.cpp names them (llama-vocab.cpp).
struct Family {
  const char* name;
  const char* split;  // a regular expression of its own, or nullptr: GPT-2's
  bool digits;        // every number character alone, first
  bool ignore_merges;
  bool bos;  // adds BOS unless the file says otherwise
  bool nfc;  // the model's own tokenizer normalizes; llama.cpp leaves that out
};
constexpr const char* kGpt2Split = nullptr;

const Family* find_family(std::string_view name) {
  static const Family kFamilies[] = {
      {"gpt-2", kGpt2Split, false, false, false, false},      {"smollm", kGpt2Split, true, false, false, false},
      {"starcoder", kGpt2Split, true, false, false, false},   {"refact", kGpt2Split, true, false, false, false},
      {"command-r", kGpt2Split, true, false, false, false},   {"llama-bpe", pattern::kLlama3, false, true, true, false},
      {"llama3", pattern::kLlama3, false, true, true, false}, {"llama-v3", pattern::kLlama3, false, true, true, false},
      {"qwen2", pattern::kQwen2, false, false, false, true},  {"tekken", pattern::kTekken, false, true, true, false},
  };
  const auto* it = std::ranges::find(kFamilies, name, [](const Family& f) { return std::string_view(f.name); });
  return it == std::end(kFamilies) ? nullptr : it;
}

Result<std::optional<std::int32_t>> read_id(const GgufFile& file, std::string_view key, std::size_t vocabulary) {
  if (file.find(key) == nullptr) return std::optional<std::int32_t>();
  SOTTO_TRY(const auto id, file.get_uint(key));
  if (id >= vocabulary)
    return invalid(file.origin() + ": metadata '" + std::string(key) + "' is " + std::to_string(id) +
                   ", outside the vocabulary of " + std::to_string(vocabulary) + " tokens");
  return std::optional(static_cast<std::int32_t>(id));
}

Result<bool> read_flag(const GgufFile& file, std::string_view key, bool otherwise) {
  if (file.find(key) == nullptr) return otherwise;
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

// BOS and EOS, as the file says or else as the model's family does.
Result<void> read_ends(TokenizerSpec& out, const GgufFile& file, bool family_adds_bos) {
  SOTTO_TRY(const bool bos, read_flag(file, "tokenizer.ggml.add_bos_token", family_adds_bos));
  SOTTO_TRY(const bool eos, read_flag(file, "tokenizer.ggml.add_eos_token", false));
  if ((bos && !out.bos) || (eos && !out.eos))
    return invalid(file.origin() + ": it adds BOS or EOS to every text, but names no such token");
  if (bos) out.before.push_back(*out.bos);
  if (eos) out.after.push_back(*out.eos);
  return {};
}

Result<void> read_ranked_pairs(TokenizerSpec& out, const GgufFile& file) {
  SOTTO_TRY(const auto* merges, file.get_strings("tokenizer.ggml.merges"));
  for (std::size_t rank = 0; rank < merges->size(); ++rank) {
    SOTTO_TRY(auto pair, split_merge((*merges)[rank], file.origin(), rank));
    out.merges.push_back(std::move(pair));
  }
  return {};
}

Result<void> read_byte_level(TokenizerSpec& out, const GgufFile& file) {
  SOTTO_TRY(const auto pre, file.get_string("tokenizer.ggml.pre"));
  const Family* family = find_family(pre);
  if (family == nullptr)
    return unsupported(file.origin() + ": tokenizer.ggml.pre is '" + pre +
                       "'; this version reads gpt-2, smollm, starcoder, refact, command-r, llama-bpe, qwen2 and tekken");
  SOTTO_TRY(const bool space_prefix, read_flag(file, "tokenizer.ggml.add_space_prefix", false));
  if (family->digits) out.pre_tokenizers.emplace_back(Digits{true});
  if (family->split != nullptr)
    out.pre_tokenizers.emplace_back(SplitBy{{family->split, true}, SplitBehaviour::kIsolated, false});
  if (space_prefix)
    return unsupported(file.origin() + ": tokenizer.ggml.add_space_prefix is true, which this version does not do");
  out.pre_tokenizers.emplace_back(ByteLevel{false, family->split == nullptr});
  if (family->nfc) out.normalizers.emplace_back(UnicodeForm::kNfc);
  out.ignore_merges = family->ignore_merges;
  out.decoders.emplace_back(ByteLevel{});
  SOTTO_TRY_VOID(read_ranked_pairs(out, file));
  return read_ends(out, file, family->bos);
}

// Spaces as U+2581, one before the text; what kMetaspaceKey says where our own files have it.
Result<void> read_preparation(TokenizerSpec& out, const GgufFile& file) {
  SOTTO_TRY(const bool prefix, read_flag(file, "tokenizer.ggml.add_space_prefix", true));
  const std::string mark(kMetaspace);
  if (file.find(kMetaspaceKey) != nullptr) {
    SOTTO_TRY(const auto scheme, file.get_string(kMetaspaceKey));
    if (scheme != "first" && scheme != "always" && scheme != "never")
      return invalid(file.origin() + ": '" + kMetaspaceKey + "' is '" + scheme + "'; it is first, always or never");
    const auto prefixes = scheme == "first"    ? PrefixScheme::kFirst
                          : scheme == "always" ? PrefixScheme::kAlways
                                               : PrefixScheme::kNever;
    out.pre_tokenizers.emplace_back(Metaspace{mark, prefixes, false});
  } else {
    if (prefix) out.normalizers.emplace_back(Prepend{mark});
    out.normalizers.emplace_back(mark_spaces(mark));
  }
  out.decoders = unmark_spaces(mark);
  if (prefix) out.decoders.emplace_back(Strip{" ", 1, 0});
  return {};
}

Result<void> read_scores(TokenizerSpec& out, const GgufFile& file, const std::vector<std::uint64_t>& types) {
  const GgufValue* scores = file.find("tokenizer.ggml.scores");
  const auto* list = scores == nullptr ? nullptr : std::get_if<std::vector<double>>(scores);
  if (list == nullptr || list->size() != out.tokens.size())
    return invalid(file.origin() + ": metadata 'tokenizer.ggml.scores' is no list of " + std::to_string(out.tokens.size()) +
                   " numbers, one a token");
  for (std::size_t id = 0; id < list->size(); ++id) {
    if (std::isnan((*list)[id]))
      return invalid(file.origin() + ": the score of token " + std::to_string(id) + " is no number");
    const bool merged = types[id] == kNormal || types[id] == kUnused;
    out.scores.push_back(merged ? static_cast<float>((*list)[id]) : std::numeric_limits<float>::quiet_NaN());
  }
  return {};
}

// SentencePiece's BPE: merging by score, or by rank where the file has the pairs too; bytes where a character has no token.
Result<void> read_sentence_piece(TokenizerSpec& out, const GgufFile& file, const std::vector<std::uint64_t>& types) {
  for (const char* key : {"tokenizer.ggml.precompiled_charsmap", "tokenizer.ggml.remove_extra_whitespaces"}) {
    const GgufValue* value = file.find(key);
    const auto* flag = value == nullptr ? nullptr : std::get_if<bool>(value);
    if (value != nullptr && (flag == nullptr || *flag))
      return unsupported(file.origin() + ": '" + key + "' is set, which this version does not do");
  }
  SOTTO_TRY_VOID(read_preparation(out, file));
  out.byte_fallback = true;
  out.fuse_unknown = true;
  SOTTO_TRY_VOID(file.find("tokenizer.ggml.merges") != nullptr ? read_ranked_pairs(out, file)
                                                               : read_scores(out, file, types));
  SOTTO_TRY(out.unknown, read_id(file, "tokenizer.ggml.unknown_token_id", out.tokens.size()));
  return read_ends(out, file, true);
}

// Control and unknown tokens are special; what users defined is cut out of every text.
void add_tokens(TokenizerSpec& out, const std::vector<std::uint64_t>& types) {
  for (std::size_t id = 0; id < types.size(); ++id) {
    if (types[id] != kControl && types[id] != kUnknown && types[id] != kUserDefined) continue;
    AddedToken token;
    token.id = static_cast<std::int32_t>(id);
    token.special = types[id] != kUserDefined;
    token.in_model = out.byte_level() || (types[id] == kUserDefined && !out.merges.empty());
    out.added.push_back(token);
  }
}

}  // namespace

Replace mark_spaces(const std::string& mark) {
  Replace out;
  out.pattern.text = " ";
  out.content = mark;
  return out;
}

std::vector<Decoder> unmark_spaces(const std::string& mark) {
  std::vector<Decoder> out;
  out.emplace_back(Replace{{mark, false}, " "});
  out.emplace_back(ByteFallback{});
  out.emplace_back(Fuse{});
  return out;
}

Result<TokenizerSpec> tokenizer_spec(const GgufFile& file) {
  SOTTO_TRY(const auto model, file.get_string("tokenizer.ggml.model"));
  if (model != "gpt2" && model != "llama")
    return unsupported(file.origin() + ": tokenizer.ggml.model is '" + model +
                       "'; this version reads byte-level BPE, 'gpt2', and SentencePiece's, 'llama'");
  TokenizerSpec out;
  SOTTO_TRY(const auto* tokens, file.get_strings("tokenizer.ggml.tokens"));
  out.tokens = *tokens;
  SOTTO_TRY(const auto types, read_token_types(file, tokens->size()));
  for (std::size_t id = 0; id < types.size(); ++id)
    if (types[id] < kNormal || types[id] > kByte || (types[id] == kByte && model == "gpt2"))
      return unsupported(file.origin() + ": token " + std::to_string(id) + " '" + (*tokens)[id].substr(0, 60) +
                         "' is of type " + std::to_string(types[id]) + ", which this version does not read");
  SOTTO_TRY(out.bos, read_id(file, "tokenizer.ggml.bos_token_id", tokens->size()));
  SOTTO_TRY(out.eos, read_id(file, "tokenizer.ggml.eos_token_id", tokens->size()));
  SOTTO_TRY_VOID(model == "gpt2" ? read_byte_level(out, file) : read_sentence_piece(out, file, types));
  add_tokens(out, types);
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
