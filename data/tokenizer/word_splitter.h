// Cuts text into the words that byte-pair merging then works on: the pre-tokenizers of a specification, one after another.
// GPT-2's regular expression is that of openai/gpt-2, encoder.py. Immutable after making; safe from several threads.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/tokenizer/pattern.h"
#include "data/tokenizer/reading.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

// Words in order. They view the text, or `made` where a step changed it; keep both. May be used again.
struct Words {
  std::vector<std::string_view> words;
  std::deque<std::string> made;

  void clear();
  std::vector<std::string_view> pieces;  // scratch
  std::vector<Regex::Span> matches;
};

class WordSplitter {
 public:
  // Refused: a regular expression that cannot be read, a step behind ByteLevel.
  static Result<WordSplitter> make(const std::vector<PreTokenizer>& steps);

  // Fills `out` with the words of `text`, well-formed UTF-8.
  void split(std::string_view text, Position position, Words& out) const;

 private:
  struct Cut {
    Matcher matcher;
    SplitBehaviour behaviour;
    bool invert;
  };
  struct Spaced {  // a space before every piece that has none, then the cut, if there is one
    std::vector<Cut> cut;
  };
  using Step = std::variant<Cut, Spaced, Metaspace>;

  void apply(const Cut& step, std::string_view piece, Words& out) const;
  void apply(const Metaspace& step, std::string_view piece, Position position, Words& out) const;
  std::vector<Step> steps_;
};

}  // namespace sotto::data
