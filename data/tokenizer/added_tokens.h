// Finds added tokens in a text: of several that begin at the same place the longest counts (as the `tokenizers` library's
// Aho-Corasick automaton has it). Immutable after making; safe from several threads.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/reading.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

class AddedTokens {
 public:
  struct Entry {
    std::string text;  // never empty
    AddedToken token;
  };
  explicit AddedTokens(std::vector<Entry> entries);
  bool empty() const { return entries_.empty(); }

  // A stretch of text, or a token.
  struct Piece {
    std::string_view text;
    const AddedToken* token;  // nullptr: text
  };
  // Appends the pieces of `text` in order, none empty; with kAsPlainText, special tokens stay text.
  void split(std::string_view text, ControlTokens control, std::vector<Piece>& out) const;

 private:
  const Entry* match_at(std::string_view text, std::size_t at) const;
  std::vector<Entry> entries_;                                            // by first byte, then longest first
  std::array<std::pair<std::size_t, std::size_t>, 256> by_first_byte_{};  // ranges of entries_
};

}  // namespace sotto::data
