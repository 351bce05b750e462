// Byte-level BPE: text <-> token ids, as the `tokenizers` library computes them for SmolLM2. Immutable after making;
// encoding and decoding from several threads is safe. Bytes that have no token (SmolLM2 lacks 21) vanish before merging, as
// in the reference: its neighbours become adjacent. Text that is not UTF-8 is read as Rust's from_utf8_lossy reads it: each
// maximal ill-formed piece becomes one U+FFFD.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer_spec.h"

namespace sotto::data {

enum class ControlTokens {
  kRecognise,    // "<|im_end|>" in the text becomes its id: for text that we rendered ourselves
  kAsPlainText,  // it is spelled out like any other text: for what users and records contain
};

enum class DecodeControl { kKeep, kSkip };

class Tokenizer {
 public:
  // Refused: a token twice, merges of unknown tokens, ids out of range, added BOS or EOS (no model of this version has
  // them).
  static Result<Tokenizer> make(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<std::int32_t> encode(std::string_view text, ControlTokens control) const;
  // Fails on an id outside the vocabulary. Pieces that are not UTF-8 become U+FFFD.
  Result<std::string> decode(std::span<const std::int32_t> ids, DecodeControl control = DecodeControl::kKeep) const;

  const TokenizerSpec& spec() const;
  std::size_t size() const { return spec().tokens.size(); }
  bool is_control(std::int32_t id) const;
  // The id of a control token by its text ("<|im_end|>"), if there is one.
  std::optional<std::int32_t> control_id(std::string_view text) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
