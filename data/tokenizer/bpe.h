// The byte-pair model: one word in, token ids out. A word's first symbols are its bytes (byte-level vocabularies) or its
// characters; MergeTable joins them. Immutable but for a cache that changes no result; safe from several threads.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/merge_table.h"
#include "data/tokenizer/tokenizer_spec.h"
#include "data/tokenizer/word_cache.h"

namespace sotto::data {

class Bpe {
 public:
  // Refused: a token twice, merges of tokens that are not there, both merges and scores, no usable unknown token.
  static Result<Bpe> make(const TokenizerSpec& spec);

  struct Scratch {
    std::vector<std::int32_t> symbols;
  };
  void encode(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& out) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using TokenIds = std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>>;

  Bpe(bool byte_level, MergeTable merges) : byte_level_(byte_level), merges_(std::move(merges)) {}

  void encode_segment(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& out) const;
  void put_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const;

  bool byte_level_;
  bool ignore_merges_ = false;
  bool fuse_unknown_ = false;
  bool cut_at_metaspace_ = false;  // no token has U+2581 behind another character, so nothing merges across that place
  std::optional<std::int32_t> unknown_;
  MergeTable merges_;
  std::array<std::int32_t, 256> byte_{};   // symbol of a byte, or its fallback; -1: none
  std::array<std::int32_t, 128> ascii_{};  // symbol of an ASCII character; -1: none
  TokenIds character_;                     // of the other characters
  TokenIds words_;                         // with ignore_merges: whole words, by their bytes
  std::unique_ptr<WordCache> cache_ = std::make_unique<WordCache>();
};

}  // namespace sotto::data
