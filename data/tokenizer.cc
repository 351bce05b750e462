#include "data/tokenizer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/check.h"
#include "data/byte_level.h"
#include "data/merge_table.h"
#include "data/utf8.h"
#include "data/word_splitter.h"

namespace sotto::data {
namespace {

constexpr std::int32_t kNoToken = -1;

struct ControlToken {
  std::string text;
  std::int32_t id;
};

using Vocabulary = std::unordered_map<std::string_view, std::int32_t>;

Result<MergeTable> make_merges(const TokenizerSpec& spec, const Vocabulary& ids) {
  MergeTable merges;
  merges.reserve(spec.merges.size());
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    const auto l = ids.find(left);
    const auto r = ids.find(right);
    const auto joined = ids.find(left + right);
    const std::string what = "tokenizer: merge " + std::to_string(rank) + " ('" + left + "' + '" + right + "')";
    if (l == ids.end() || r == ids.end() || joined == ids.end())
      return invalid(what + " names a token that is not in the vocabulary");
    if (!merges.add(l->second, r->second, static_cast<std::uint32_t>(rank), joined->second))
      return invalid(what + " occurs twice");
  }
  return merges;
}

}  // namespace

struct Tokenizer::State {
  State(TokenizerSpec s, MergeTable m) : spec(std::move(s)), splitter(spec.pre_tokenizer), merges(std::move(m)) {}

  TokenizerSpec spec;
  WordSplitter splitter;
  MergeTable merges;
  std::array<std::int32_t, 256> id_of_byte{};
  std::vector<std::string> bytes_of_id;
  std::vector<bool> control;              // by id
  std::vector<ControlToken> controls;     // longest first
  std::array<bool, 256> control_start{};  // whether a control token begins with this byte

  const ControlToken* control_at(std::string_view text, std::size_t at) const {
    if (!control_start[static_cast<std::uint8_t>(text[at])]) return nullptr;
    for (const auto& token : controls)
      if (text.substr(at).starts_with(token.text)) return &token;
    return nullptr;
  }

  void encode_plain(std::string_view text, std::vector<std::int32_t>& out) const {
    std::vector<std::int32_t> symbols;
    for (const std::string_view word : splitter.split(text)) {
      symbols.clear();
      for (const char c : word)
        if (const auto id = id_of_byte[static_cast<std::uint8_t>(c)]; id != kNoToken) symbols.push_back(id);
      merges.merge(symbols, out);
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::make(TokenizerSpec spec) {
  if (spec.add_bos || spec.add_eos)
    return unsupported("tokenizer: the model adds a BOS or EOS token by itself, which this version does not do");
  constexpr std::size_t kMaxTokens = 1 << 24;
  if (spec.tokens.empty() || spec.tokens.size() > kMaxTokens)
    return invalid("tokenizer: a vocabulary of " + std::to_string(spec.tokens.size()) + " tokens");
  const auto known = [&spec](std::int32_t id) { return id >= 0 && static_cast<std::size_t>(id) < spec.tokens.size(); };
  for (const auto& id : {spec.bos, spec.eos})
    if (id && !known(*id)) return invalid("tokenizer: BOS or EOS id " + std::to_string(*id) + " is outside the vocabulary");

  Vocabulary ids;
  ids.reserve(spec.tokens.size());
  for (std::size_t i = 0; i < spec.tokens.size(); ++i)
    if (!ids.emplace(spec.tokens[i], static_cast<std::int32_t>(i)).second)
      return invalid("tokenizer: token '" + spec.tokens[i] + "' occurs twice, again as id " + std::to_string(i));
  SOTTO_TRY(auto merges, make_merges(spec, ids));

  // Moving the spec leaves the token texts that `ids` views where they are.
  auto state = std::make_unique<State>(std::move(spec), std::move(merges));
  const auto characters = byte_level_characters();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto it = ids.find(characters[byte]);
    state->id_of_byte[byte] = it == ids.end() ? kNoToken : it->second;
  }
  for (const auto& token : state->spec.tokens) state->bytes_of_id.push_back(bytes_of_token(token));
  state->control.resize(state->spec.tokens.size());
  for (const auto id : state->spec.control_ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= state->spec.tokens.size() ||
        state->spec.tokens[static_cast<std::size_t>(id)].empty())
      return invalid("tokenizer: control token id " + std::to_string(id) + " is outside the vocabulary or empty");
    const auto& text = state->spec.tokens[static_cast<std::size_t>(id)];
    state->control[static_cast<std::size_t>(id)] = true;
    state->controls.push_back({text, id});
    state->control_start[static_cast<std::uint8_t>(text[0])] = true;
  }
  std::ranges::stable_sort(state->controls, std::greater<>{}, [](const ControlToken& t) { return t.text.size(); });
  return Tokenizer(std::move(state));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, ControlTokens control) const {
  const std::string clean = utf8_lossy(text);
  const std::string_view all = clean;
  std::vector<std::int32_t> out;
  std::size_t begin = 0;
  if (control == ControlTokens::kRecognise) {
    for (std::size_t at = 0; at < all.size();) {
      const ControlToken* token = state_->control_at(all, at);
      if (token == nullptr) {
        ++at;
        continue;
      }
      state_->encode_plain(all.substr(begin, at - begin), out);
      out.push_back(token->id);
      at += token->text.size();
      begin = at;
    }
  }
  state_->encode_plain(all.substr(begin), out);
  return out;
}

Result<std::string> Tokenizer::decode(std::span<const std::int32_t> ids, DecodeControl control) const {
  std::string bytes;
  for (const auto id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= size())
      return invalid("token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(size()) +
                     " tokens");
    if (control == DecodeControl::kSkip && is_control(id)) continue;
    bytes += state_->bytes_of_id[static_cast<std::size_t>(id)];
  }
  return utf8_lossy(bytes);
}

const TokenizerSpec& Tokenizer::spec() const { return state_->spec; }

bool Tokenizer::is_control(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < size() && state_->control[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> Tokenizer::control_id(std::string_view text) const {
  for (const auto& token : state_->controls)
    if (token.text == text) return token.id;
  return std::nullopt;
}

}  // namespace sotto::data
