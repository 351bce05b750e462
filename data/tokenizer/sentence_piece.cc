#include "data/tokenizer/sentence_piece.h"

#include <algorithm>
#include <unordered_map>

#include "base/log.h"
#include "data/text/utf8.h"

namespace sotto::data {
namespace {

const std::string kMark = "\xe2\x96\x81";

using Positions = std::unordered_map<std::string_view, std::size_t>;

// How a text is prepared, in the two ways that tokenizer.json files have it.
struct Preparation {
  bool prefix = true;
  const char* metaspace = nullptr;  // the value of kMetaspaceKey; null: what add_space_prefix alone says
};

Result<Preparation> preparation_of(const TokenizerSpec& spec, const std::string& origin) {
  const std::vector<Normalizer> spaces = {mark_spaces(kMark)}, prefixed = {Prepend{kMark}, spaces[0]};
  const std::vector<PreTokenizer> none, gemma = {SplitBy{{" ", false}, SplitBehaviour::kMergedWithPrevious, false}};
  std::vector<Decoder> back = unmark_spaces(kMark);
  std::optional<Preparation> out;
  if (spec.normalizers == prefixed && spec.pre_tokenizers == none) out = Preparation{true, nullptr};
  // No space is left for Gemma's step to cut at.
  if (spec.normalizers == spaces && (spec.pre_tokenizers == none || spec.pre_tokenizers == gemma))
    out = Preparation{false, nullptr};
  for (const auto& [scheme, name] :
       {std::pair{PrefixScheme::kFirst, "first"}, {PrefixScheme::kAlways, "always"}, {PrefixScheme::kNever, "never"}})
    if (spec.normalizers.empty() && spec.pre_tokenizers == std::vector<PreTokenizer>{Metaspace{kMark, scheme, false}})
      out = Preparation{scheme != PrefixScheme::kNever, name};
  if (!out)
    return unsupported(
        origin +
        ": normalizer and pre_tokenizer are neither those of byte-level BPE nor SentencePiece's (spaces become "
        "U+2581, at most one is put in front), which are all that a GGUF file has a name for");
  if (out->prefix) back.emplace_back(Strip{" ", 1, 0});
  if (spec.decoders != back)
    return unsupported(origin + ": decoder is not SentencePiece's (U+2581 becomes a space, bytes their characters" +
                       (out->prefix ? ", the first space goes" : "") + "), which is all that a GGUF file can say");
  return *out;
}

Result<void> check_model(const TokenizerSpec& spec, const Positions& ids, const std::string& origin) {
  const auto refused = [&](const char* what) {
    return unsupported(origin + ": " + what + ", which a GGUF file cannot say");
  };
  if (spec.ignore_merges) return refused("model.ignore_merges is true");
  bool all_bytes = spec.byte_fallback;
  constexpr const char* kHex = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte)
    all_bytes = all_bytes && ids.contains(std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">");
  if (!all_bytes) return refused("characters without a token do not become bytes (model.byte_fallback, <0x00> to <0xFF>)");
  return {};
}

// -1, -2, ... in the order in which merges first make a token; what no merge makes comes last. Control tokens, bytes and
// what is cut out of the text have 0, as converters write them.
std::vector<float> scores_of(const TokenizerSpec& spec, const Positions& ids, std::size_t size) {
  std::vector<float> scores(size, 0.0F);
  float next = -1;
  for (const auto& [left, right] : spec.merges) {
    float& score = scores[ids.at(left + right)];
    if (score == 0.0F) score = next--;
  }
  std::vector<bool> apart(size, false);
  for (const auto& token : spec.added) apart[static_cast<std::size_t>(token.id)] = true;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id)
    if (scores[id] == 0.0F && !apart[id] && !spec.tokens[id].starts_with("<0x")) scores[id] = next;
  return scores;
}

// Whether the scores alone mean these merges: every way to cut a token in two is one, those of one token stand together.
bool scores_say_all(const TokenizerSpec& spec, const Positions& ids) {
  std::unordered_map<std::size_t, std::size_t> ways;
  std::size_t previous = spec.tokens.size();
  for (const auto& [left, right] : spec.merges) {
    const std::size_t whole = ids.at(left + right);
    if (whole != previous && ways.contains(whole)) return false;
    ++ways[whole];
    previous = whole;
  }
  for (const auto& [token, id] : ids) {
    std::size_t cuts = 0;
    for (std::size_t at = character_size(token[0]); at < token.size(); at += character_size(token[at]))
      cuts += ids.contains(token.substr(0, at)) && ids.contains(token.substr(at)) ? 1 : 0;
    const auto known = ways.find(id);
    if (cuts != (known == ways.end() ? 0 : known->second)) return false;
  }
  return true;
}

}  // namespace

Result<void> put_sentence_piece(const TokenizerSpec& spec, const std::string& origin, std::uint32_t vocab_size,
                                GgufMetadata& out) {
  SOTTO_TRY(const Preparation prepared, preparation_of(spec, origin));
  Positions ids;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id)
    if (!spec.tokens[id].empty()) ids.emplace(spec.tokens[id], id);
  SOTTO_TRY_VOID(check_model(spec, ids, origin));
  for (const auto& [left, right] : spec.merges) {
    if (!ids.contains(left + right))
      return invalid(origin + ": the merge of '" + left + "' and '" + right + "' makes no token of the vocabulary");
    if ((left + right).find(' ') != std::string::npos)
      return unsupported(origin + ": the merge of '" + left + "' and '" + right +
                         "' has a space, which a GGUF file's merges cannot hold");
  }
  if (!scores_say_all(spec, ids))
    log(Level::kWarning, "merges_not_in_scores",
        {{"tokenizer", origin},
         {"next_step",
          "this program reads the merges back and gives the same ids; llama.cpp joins by scores alone and may cut some "
          "texts otherwise"}});
  out.text("tokenizer.ggml.model", "llama").text("tokenizer.ggml.pre", "default");
  out.f32s("tokenizer.ggml.scores", scores_of(spec, ids, vocab_size))
      .boolean("tokenizer.ggml.add_space_prefix", prepared.prefix);
  if (prepared.metaspace != nullptr) out.text(kMetaspaceKey, prepared.metaspace);
  return {};
}

}  // namespace sotto::data
