#include "data/tokenizer/bpe.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"

namespace sotto::data {
namespace {

constexpr std::int32_t kNoToken = -1;
constexpr std::string_view kMetaspace = "\xe2\x96\x81";

using Vocabulary = std::unordered_map<std::string_view, std::int32_t>;

// The tokens that merging may use: all but those that were only added, and no control tokens: text must not be able to spell
// one.
Result<Vocabulary> vocabulary_of(const TokenizerSpec& spec) {
  Vocabulary all;
  all.reserve(spec.tokens.size());
  for (std::size_t i = 0; i < spec.tokens.size(); ++i)
    if (!spec.tokens[i].empty() && !all.emplace(spec.tokens[i], static_cast<std::int32_t>(i)).second)
      return invalid("tokenizer: token '" + spec.tokens[i] + "' occurs twice, again as id " + std::to_string(i));
  for (const auto& token : spec.added)
    if (!token.in_model || token.special) all.erase(spec.tokens[static_cast<std::size_t>(token.id)]);
  return all;
}

Result<MergeTable> ranked_merges(const TokenizerSpec& spec, const Vocabulary& ids) {
  MergeTable merges(spec.merges.size());
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const auto l = ids.find(left);
    const auto r = ids.find(right);
    const auto joined = ids.find(left + right);
    const std::string what = "tokenizer: merge " + std::to_string(rank) + " ('" + left + "' + '" + right + "')";
    if (l == ids.end() || r == ids.end() || joined == ids.end())
      return invalid(what + " names a token that is not in the vocabulary, or a control token");
    if (!merges.add(l->second, r->second, static_cast<std::uint32_t>(rank), joined->second))
      return invalid(what + " occurs twice");
  }
  return merges;
}

// SentencePiece's order as pairs: every way to cut a token in two tokens, ranked by the whole token's score.
Result<MergeTable> scored_merges(const TokenizerSpec& spec, const Vocabulary& ids) {
  if (spec.scores.size() != spec.tokens.size()) return invalid("tokenizer: not every token has a score");
  const auto score_of = [&](std::int32_t id) { return spec.scores[static_cast<std::size_t>(id)]; };
  struct Pair {
    std::int32_t left, right, joined;
  };
  std::vector<Pair> pairs;
  for (const auto& [text, id] : ids) {
    if (std::isnan(score_of(id))) continue;
    for (std::size_t cut = character_size(text[0]); cut < text.size(); cut += character_size(text[cut])) {
      const auto l = ids.find(text.substr(0, cut));
      const auto r = ids.find(text.substr(cut));
      if (l != ids.end() && r != ids.end()) pairs.push_back({l->second, r->second, id});
    }
  }
  std::vector<float> order;
  for (const auto& pair : pairs) order.push_back(score_of(pair.joined));
  std::ranges::sort(order, std::greater<>{});
  order.erase(std::ranges::unique(order).begin(), order.end());
  MergeTable merges(pairs.size());
  for (const auto& pair : pairs) {
    const auto at = std::ranges::lower_bound(order, score_of(pair.joined), std::greater<>{});
    merges.add(pair.left, pair.right, static_cast<std::uint32_t>(at - order.begin()), pair.joined);
  }
  return merges;
}

// Whether no token has U+2581 behind a character that is not U+2581.
bool metaspace_only_leads(const Vocabulary& ids) {
  return ids.contains(kMetaspace) && std::ranges::none_of(ids, [](const auto& token) {
           std::string_view rest = token.first;
           while (rest.starts_with(kMetaspace)) rest.remove_prefix(kMetaspace.size());
           return rest.find(kMetaspace) != std::string_view::npos;
         });
}

}  // namespace

Result<Bpe> Bpe::make(const TokenizerSpec& spec) {
  SOTTO_TRY(const Vocabulary ids, vocabulary_of(spec));
  if (!spec.merges.empty() && !spec.scores.empty()) return invalid("tokenizer: both merges and scores");
  SOTTO_TRY(auto merges, spec.scores.empty() ? ranked_merges(spec, ids) : scored_merges(spec, ids));
  Bpe out(spec.byte_level(), std::move(merges));
  const auto id_of = [&ids](const std::string& token) {
    const auto it = ids.find(token);
    return it == ids.end() ? kNoToken : it->second;
  };
  out.ignore_merges_ = spec.ignore_merges;
  out.fuse_unknown_ = spec.fuse_unknown;
  out.unknown_ = spec.unknown;
  out.cut_at_metaspace_ = !out.byte_level_ && !out.ignore_merges_ && metaspace_only_leads(ids);
  const auto byte_level = byte_level_characters();
  constexpr const char* kHex = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string fallback = std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">";
    out.byte_[byte] = out.byte_level_ ? id_of(byte_level[byte]) : spec.byte_fallback ? id_of(fallback) : kNoToken;
    if (byte < 128) out.ascii_[byte] = id_of(std::string(1, static_cast<char>(byte)));
  }
  if (!out.byte_level_)
    for (const auto& [text, id] : ids)
      if (text.size() > 1 && text.size() == character_size(text[0])) out.character_.emplace(text, id);
  if (out.ignore_merges_)
    for (const auto& [text, id] : ids) out.words_.emplace(out.byte_level_ ? bytes_of_token(text) : std::string(text), id);
  return out;
}

void Bpe::put_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const {
  symbols.clear();
  if (byte_level_) {
    for (const char c : word)
      if (const auto id = byte_[static_cast<std::uint8_t>(c)]; id != kNoToken)
        symbols.push_back(id);
      else if (unknown_ && (!fuse_unknown_ || symbols.empty() || symbols.back() != *unknown_))
        symbols.push_back(*unknown_);
    return;
  }
  bool unknown_before = false;
  for (std::size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, character_size(word[at]));
    at += character.size();
    std::int32_t id = kNoToken;
    if (character.size() == 1) {
      id = ascii_[static_cast<std::uint8_t>(character[0])];
    } else if (const auto it = character_.find(character); it != character_.end()) {
      id = it->second;
    }
    if (id != kNoToken) {
      symbols.push_back(id);
      unknown_before = false;
      continue;
    }
    const auto byte_token = [this](char c) { return byte_[static_cast<std::uint8_t>(c)]; };
    if (std::ranges::all_of(character, [&](char c) { return byte_token(c) != kNoToken; })) {
      for (const char c : character) symbols.push_back(byte_token(c));
      unknown_before = false;
    } else if (unknown_) {
      if (!unknown_before || !fuse_unknown_) symbols.push_back(*unknown_);
      unknown_before = true;
    }
  }
}

void Bpe::encode_segment(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& out) const {
  const bool short_word = word.size() <= WordCache::kLongestWord;
  const std::size_t slot = short_word ? WordCache::slot_of(word) : 0;
  if (short_word && cache_->find(slot, word, out)) return;
  const std::size_t begin = out.size();
  const auto whole = ignore_merges_ ? words_.find(word) : words_.end();
  if (whole != words_.end()) {
    out.push_back(whole->second);
  } else {
    put_symbols(word, scratch.symbols);
    merges_.merge(scratch.symbols, out);
  }
  if (short_word) cache_->keep(slot, word, std::span(out).subspan(begin));
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<std::int32_t>& out) const {
  if (!cut_at_metaspace_) return encode_segment(word, scratch, out);
  std::size_t from = 0;
  for (auto at = word.find(kMetaspace); at != std::string_view::npos; at = word.find(kMetaspace, at + kMetaspace.size())) {
    const bool behind_metaspace = word.substr(from, at - from).ends_with(kMetaspace) || at == from;
    if (behind_metaspace) continue;
    encode_segment(word.substr(from, at - from), scratch, out);
    from = at;
  }
  if (from < word.size()) encode_segment(word.substr(from), scratch, out);
}

}  // namespace sotto::data
