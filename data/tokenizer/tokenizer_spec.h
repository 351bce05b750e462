// What a tokenizer is made from: a plain value, read from a GGUF file's metadata or a Hugging Face folder. It is the
// pipeline of the `tokenizers` library as data: added tokens are cut out of the text, what lies between is normalized, cut
// into words, and each word becomes tokens by byte-pair merging; decoding is a list of steps too. Anything in a source that
// would change the token ids or the decoded text and is not described here is refused by its name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace sotto {
class Json;
}

namespace sotto::data {

class GgufFile;

// Text to look for: as it stands, or a regular expression in the syntax of regex.h.
struct Pattern {
  std::string text;
  bool regex = false;
  bool operator==(const Pattern&) const = default;
};

// Normalizers: each maps a piece of text to another.
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };
struct Lowercase {  // character by character: a final sigma is a sigma like any other
  bool operator==(const Lowercase&) const = default;
};
struct Prepend {  // to pieces that are not empty
  std::string text;
  bool operator==(const Prepend&) const = default;
};
struct Replace {
  Pattern pattern;
  std::string content;
  bool operator==(const Replace&) const = default;
};
using Normalizer = std::variant<UnicodeForm, Lowercase, Prepend, Replace>;

// Pre-tokenizers: each cuts every piece into smaller ones.
enum class SplitBehaviour { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };
struct SplitBy {
  Pattern pattern;
  SplitBehaviour behaviour = SplitBehaviour::kIsolated;
  bool invert = false;  // what lies between the matches is what was looked for
  bool operator==(const SplitBy&) const = default;
};
struct Digits {  // number characters (Unicode N), each alone or a run together
  bool individual = true;
  bool operator==(const Digits&) const = default;
};
struct ByteLevel {  // the last step: words are bytes from here on. `gpt2_regex`: cut by GPT-2's regular expression first
  bool prefix_space = false;
  bool gpt2_regex = true;
  bool operator==(const ByteLevel&) const = default;
};
enum class PrefixScheme { kNever, kFirst, kAlways };  // kFirst: only at the very beginning of the text
struct Metaspace {  // spaces become `replacement`, which pieces begin with; optionally cut before each
  std::string replacement = "\xe2\x96\x81";
  PrefixScheme prefix = PrefixScheme::kAlways;
  bool split = true;
  bool operator==(const Metaspace&) const = default;
};
using PreTokenizer = std::variant<SplitBy, Digits, ByteLevel, Metaspace>;

// Decoders, from the list of tokens to text. Replace works on each token; ByteFallback turns runs of <0x..> tokens into the
// characters that they spell, or U+FFFD each; Fuse joins all tokens into one; Strip cuts `content` off each one's ends.
struct ByteFallback {
  bool operator==(const ByteFallback&) const = default;
};
struct Fuse {
  bool operator==(const Fuse&) const = default;
};
struct Strip {
  std::string content;  // one character
  std::size_t start = 0;
  std::size_t stop = 0;
  bool operator==(const Strip&) const = default;
};
using Decoder = std::variant<ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip>;

// A token that is cut out of the text before anything else happens to it.
struct AddedToken {
  std::int32_t id = 0;
  bool special = true;       // a control token: spelled out in text that is not ours, skipped in decoding on request
  bool single_word = false;  // only where no letter or digit stands next to it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in the normalized text, in its own normalized form
  bool in_model = true;      // byte-pair merging knows it as well
  bool operator==(const AddedToken&) const = default;
};

struct TokenizerSpec {
  std::vector<std::string> tokens;  // by id; with ByteLevel, model tokens are byte-level strings; empty: no such token
  std::vector<AddedToken> added;
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  std::vector<Decoder> decoders;

  // Byte-pair merging: either ranked pairs, first is merged first, or a score for each token (SentencePiece: of two adjacent
  // symbols that together are a token, those of the highest score are joined first; NaN: never the result of a merge).
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<float> scores;
  bool ignore_merges = false;           // a word that is a token needs no merges
  bool byte_fallback = false;           // a character without a token becomes its bytes' tokens <0x..>
  std::optional<std::int32_t> unknown;  // else, this token; else, it vanishes
  bool fuse_unknown = false;            // several such characters become one unknown token

  std::optional<std::int32_t> bos;
  std::optional<std::int32_t> eos;
  std::vector<std::int32_t> before;  // what the model puts around a text by itself: BOS, EOS
  std::vector<std::int32_t> after;
  std::string chat_template;  // Jinja text as the model brings it; empty when it brings none

  bool byte_level() const { return !pre_tokenizers.empty() && std::holds_alternative<ByteLevel>(pre_tokenizers.back()); }
};

// The published regular expressions of model families that cut words by their own.
namespace pattern {
extern const char* const kLlama3;
extern const char* const kQwen2;
extern const char* const kTekken;
}  // namespace pattern

// From `tokenizer.ggml.*` and `tokenizer.chat_template`: model "gpt2" (byte-level, by `tokenizer.ggml.pre`) and "llama"
// (SentencePiece's scores).
Result<TokenizerSpec> tokenizer_spec(const GgufFile& file);
// From what `tokenizer.json` holds; `origin`, the file's name, starts every message.
Result<TokenizerSpec> tokenizer_spec(const Json& tokenizer_json, const std::string& origin);
// From `tokenizer.json` and the files beside it (hugging_face_companions.cc): tokens that these name as well, BOS, EOS, the
// chat template. Refused: a token to which two files give different ids.
Result<TokenizerSpec> tokenizer_spec_from_folder(const std::string& folder);
// SentencePiece's preparation: spaces become `mark`, U+2581.
Replace mark_spaces(const std::string& mark);
// What undoes it but for the space in front: `mark` becomes a space, bytes their characters.
std::vector<Decoder> unmark_spaces(const std::string& mark);
// Either: `path` is a GGUF file or a folder.
Result<TokenizerSpec> load_tokenizer_spec(const std::string& path);

}  // namespace sotto::data
