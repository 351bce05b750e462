// Cuts text into the words that BPE then works on, by GPT-2's regular expression (openai/gpt-2, encoder.py), with or without
// every number character split off first. PCRE2 does the matching. Immutable after making; safe from several threads.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "data/tokenizer_spec.h"

namespace sotto::data {

class WordSplitter {
 public:
  explicit WordSplitter(PreTokenizer kind);
  WordSplitter(WordSplitter&&) noexcept;
  WordSplitter& operator=(WordSplitter&&) noexcept;
  ~WordSplitter();

  // The words of `text` in order; together they are the text. `text` is well-formed UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
