// From tokens back to text: a specification's decoders, one after another, on the list of tokens; what is left is joined
// and, where it is no UTF-8, read with U+FFFD. Immutable; safe from several threads.
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {

class DecoderChain {
 public:
  // Refused: a regular expression that cannot be read, a Strip of more or less than one character.
  static Result<DecoderChain> make(const std::vector<Decoder>& steps);
  std::string apply(std::vector<std::string> tokens) const;

 private:
  struct ReplaceStep {
    Matcher matcher;
    std::string content;
  };
  using Step = std::variant<ByteLevel, Metaspace, ReplaceStep, ByteFallback, Fuse, Strip>;
  std::vector<Step> steps_;
};

}  // namespace sotto::data
