// Text <-> token ids, as the `tokenizers` library computes them: byte-level and SentencePiece-like byte-pair encoding.
// Immutable after making; encoding and decoding from several threads is safe. Text that is not UTF-8 is read as Rust's
// from_utf8_lossy reads it: each maximal ill-formed piece becomes one U+FFFD. In a byte-level vocabulary, bytes that have no
// token (SmolLM2 lacks 21) vanish before merging, as in the reference: its neighbours become adjacent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/reading.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

enum class DecodeControl { kKeep, kSkip };
enum class Ends {
  kNone,     // the text alone: a piece of a chat, say
  kAsModel,  // with the BOS and EOS that the model puts around every text
};

class Tokenizer {
 public:
  // Refused: a token twice, merges of unknown tokens, ids out of range, regular expressions that cannot be read.
  static Result<Tokenizer> make(TokenizerSpec spec);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<std::int32_t> encode(std::string_view text, ControlTokens control, Ends ends = Ends::kNone) const;
  // Appends the ids of a plain text that is part of a longer one, and stands there as `position` says.
  void encode_part(std::string_view text, Position position, std::vector<std::int32_t>& out) const;
  // Fails on an id outside the vocabulary. Pieces that are not UTF-8 become U+FFFD.
  Result<std::string> decode(std::span<const std::int32_t> ids, DecodeControl control = DecodeControl::kKeep) const;

  const TokenizerSpec& spec() const;
  std::size_t size() const { return spec().tokens.size(); }
  bool is_control(std::int32_t id) const;
  // The id of a control token by its text ("<|im_start|>"), if there is one.
  std::optional<std::int32_t> control_id(std::string_view text) const;
  // `text` cut at its control tokens, in order: stretches without an id, and control tokens with theirs.
  std::vector<std::pair<std::string_view, std::optional<std::int32_t>>> split_control(std::string_view text) const;
  // How many bytes of text a token stands for, a space for U+2581 in vocabularies like Llama's.
  std::size_t text_size(std::int32_t id) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
