#include "data/tokenizer/tokenizer.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "data/text/utf8.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/decoder.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/word_splitter.h"

namespace sotto::data {
namespace {

Result<void> check_ids(const TokenizerSpec& spec) {
  constexpr std::size_t kMaxTokens = 1 << 24;
  if (spec.tokens.empty() || spec.tokens.size() > kMaxTokens)
    return invalid("tokenizer: a vocabulary of " + std::to_string(spec.tokens.size()) + " tokens");
  const auto check = [&spec](std::int32_t id, const char* what) -> Result<void> {
    if (id >= 0 && static_cast<std::size_t>(id) < spec.tokens.size() && !spec.tokens[static_cast<std::size_t>(id)].empty())
      return {};
    return invalid(std::string("tokenizer: ") + what + " id " + std::to_string(id) + " is outside the vocabulary or empty");
  };
  if (spec.bos) SOTTO_TRY_VOID(check(*spec.bos, "BOS"));
  if (spec.eos) SOTTO_TRY_VOID(check(*spec.eos, "EOS"));
  if (spec.unknown) SOTTO_TRY_VOID(check(*spec.unknown, "unknown token"));
  for (const auto& token : spec.added) SOTTO_TRY_VOID(check(token.id, "added token"));
  for (const auto* list : {&spec.before, &spec.after})
    for (const auto id : *list) SOTTO_TRY_VOID(check(id, "BOS or EOS"));
  return {};
}

AddedTokens added_tokens(const TokenizerSpec& spec, const NormalizerChain& normalizers, bool normalized) {
  std::vector<AddedTokens::Entry> entries;
  for (const auto& token : spec.added) {
    if (token.normalized != normalized) continue;
    const auto& text = spec.tokens[static_cast<std::size_t>(token.id)];
    std::string shown = normalized ? normalizers.apply(text) : text;
    if (!shown.empty()) entries.push_back({std::move(shown), token});
  }
  return AddedTokens(std::move(entries));
}

}  // namespace

struct Tokenizer::State {
  TokenizerSpec spec;
  NormalizerChain normalizers;
  NormalizerChain normalizers_inside;  // the same without a prefix: for text that goes on
  WordSplitter splitter;
  Bpe bpe;
  DecoderChain decoders;
  AddedTokens raw;                                      // looked for before normalizing
  AddedTokens normalized;                               // and behind it
  AddedTokens controls;                                 // the special ones of both, as they are written
  std::vector<bool> control;                            // by id
  std::unordered_map<std::int32_t, std::string> shown;  // what decoding takes for a normalized token: its normalized form
  std::unordered_map<std::string_view, std::int32_t> control_ids;

  struct Run {
    Words words;
    Bpe::Scratch scratch;
    std::vector<std::int32_t> out;
  };

  void encode_plain(std::string_view text, Position position, Run& run) const {
    splitter.split(text, position, run.words);
    for (const auto word : run.words.words) bpe.encode(word, run.scratch, run.out);
  }

  // What lies between the tokens that are looked for in the raw text.
  void encode_normalized(std::string_view text, Position position, ControlTokens how, Run& run) const {
    if (normalized.empty()) return encode_plain(text, position, run);
    std::vector<AddedTokens::Piece> pieces;
    normalized.split(text, how, pieces);
    for (const auto& piece : pieces) {
      if (piece.token != nullptr)
        run.out.push_back(piece.token->id);
      else
        encode_plain(piece.text, piece.text.data() == text.data() ? position : Position::kBehindToken, run);
    }
  }

  void encode(std::string_view text, Position position, ControlTokens how, Run& run) const {
    std::vector<AddedTokens::Piece> pieces;
    raw.split(text, how, pieces);
    for (const auto& piece : pieces) {
      const Position here = piece.text.data() == text.data() ? position : Position::kBehindToken;
      const NormalizerChain& chain = here == Position::kBehindText ? normalizers_inside : normalizers;
      if (piece.token != nullptr)
        run.out.push_back(piece.token->id);
      else if (chain.empty())
        encode_normalized(piece.text, here, how, run);
      else
        encode_normalized(chain.apply(piece.text), here, how, run);
    }
  }

  void encode_any(std::string_view text, Position position, ControlTokens how, Run& run) const {
    if (is_utf8(text))
      encode(text, position, how, run);
    else
      encode(utf8_lossy(text), position, how, run);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::make(TokenizerSpec spec) {
  SOTTO_TRY_VOID(check_ids(spec));
  SOTTO_TRY(auto bpe, Bpe::make(spec));
  SOTTO_TRY(auto normalizers, NormalizerChain::make(spec.normalizers));
  std::vector<Normalizer> inside;
  std::ranges::copy_if(spec.normalizers, std::back_inserter(inside),
                       [](const Normalizer& n) { return !std::holds_alternative<Prepend>(n); });
  SOTTO_TRY(auto normalizers_inside, NormalizerChain::make(inside));
  SOTTO_TRY(auto splitter, WordSplitter::make(spec.pre_tokenizers));
  SOTTO_TRY(auto decoders, DecoderChain::make(spec.decoders));
  std::vector<AddedTokens::Entry> controls;
  for (const auto& token : spec.added)
    if (token.special) controls.push_back({spec.tokens[static_cast<std::size_t>(token.id)], token});
  auto raw = added_tokens(spec, normalizers, false);
  auto normalized = added_tokens(spec, normalizers, true);
  auto state = std::make_unique<State>(State{std::move(spec),
                                             std::move(normalizers),
                                             std::move(normalizers_inside),
                                             std::move(splitter),
                                             std::move(bpe),
                                             std::move(decoders),
                                             std::move(raw),
                                             std::move(normalized),
                                             AddedTokens(std::move(controls)),
                                             {},
                                             {},
                                             {}});
  state->control.resize(state->spec.tokens.size());
  for (const auto& token : state->spec.added) {
    const auto at = static_cast<std::size_t>(token.id);
    if (token.normalized) state->shown.emplace(token.id, state->normalizers.apply(state->spec.tokens[at]));
    if (!token.special) continue;
    state->control[at] = true;
    state->control_ids.emplace(state->spec.tokens[at], token.id);
  }
  return Tokenizer(std::move(state));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, ControlTokens control, Ends ends) const {
  State::Run run;
  const auto& spec = state_->spec;
  if (ends == Ends::kAsModel) run.out = spec.before;
  state_->encode_any(text, Position::kStart, control, run);
  if (ends == Ends::kAsModel) run.out.insert(run.out.end(), spec.after.begin(), spec.after.end());
  return std::move(run.out);
}

void Tokenizer::encode_part(std::string_view text, Position position, std::vector<std::int32_t>& out) const {
  State::Run run;
  run.out = std::move(out);
  state_->encode_any(text, position, ControlTokens::kAsPlainText, run);
  out = std::move(run.out);
}

Result<std::string> Tokenizer::decode(std::span<const std::int32_t> ids, DecodeControl control) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const auto id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= size())
      return invalid("token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(size()) +
                     " tokens");
    if (control == DecodeControl::kSkip && is_control(id)) continue;
    const auto shown = state_->shown.find(id);
    const auto& token = shown != state_->shown.end() ? shown->second : spec().tokens[static_cast<std::size_t>(id)];
    if (!token.empty()) tokens.push_back(token);
  }
  return state_->decoders.apply(std::move(tokens));
}

const TokenizerSpec& Tokenizer::spec() const { return state_->spec; }

bool Tokenizer::is_control(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < size() && state_->control[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> Tokenizer::control_id(std::string_view text) const {
  const auto it = state_->control_ids.find(text);
  return it == state_->control_ids.end() ? std::nullopt : std::optional(it->second);
}

std::vector<std::pair<std::string_view, std::optional<std::int32_t>>> Tokenizer::split_control(std::string_view text) const {
  std::vector<AddedTokens::Piece> pieces;
  state_->controls.split(text, ControlTokens::kRecognise, pieces);
  std::vector<std::pair<std::string_view, std::optional<std::int32_t>>> out;
  for (const auto& piece : pieces)
    out.emplace_back(piece.text, piece.token == nullptr ? std::nullopt : std::optional(piece.token->id));
  return out;
}

std::size_t Tokenizer::text_size(std::int32_t id) const {
  const std::string& token = spec().tokens[static_cast<std::size_t>(id)];
  if (spec().byte_level()) return bytes_of_token(token).size();
  if (spec().byte_fallback && token.size() == 6 && token.starts_with("<0x")) return 1;
  constexpr std::string_view kMetaspace = "\xe2\x96\x81";
  std::size_t out = token.size();
  for (auto at = token.find(kMetaspace); at != std::string::npos; at = token.find(kMetaspace, at + kMetaspace.size()))
    out -= kMetaspace.size() - 1;
  return out;
}

}  // namespace sotto::data
