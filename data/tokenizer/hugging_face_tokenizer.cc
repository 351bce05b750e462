// tokenizer.json and its companions, as the `tokenizers` library (0.23) writes them and transformers (5) reads them:
// vocabulary, merges, added tokens, and what tokenizer_config.json adds. The steps of the pipeline are in
// hugging_face_pipeline.cc.
#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#include "base/files.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/hugging_face_json.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {
namespace {

using namespace hugging_face;

Result<void> check_bpe(const Json& model, const std::string& origin) {
  if (!is_text(model.find("type"), "BPE")) return refuse(origin, "model.type", model.find("type"));
  const Json* dropout = model.find("dropout");
  if (!absent(dropout) && !(dropout->is_number() && dropout->as_double() == 0))
    return refuse(origin, "model.dropout", dropout);
  for (const char* name : {"byte_fallback", "ignore_merges", "fuse_unk"})
    if (!absent(model.find(name)) && !model.find(name)->is_bool())
      return refuse(origin, std::string("model.") + name, model.find(name));
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!absent(model.find(name)) && !is_text(model.find(name), ""))
      return refuse(origin, std::string("model.") + name, model.find(name));
  const std::set<std::string_view> known = {"type",
                                            "dropout",
                                            "unk_token",
                                            "continuing_subword_prefix",
                                            "end_of_word_suffix",
                                            "byte_fallback",
                                            "ignore_merges",
                                            "fuse_unk",
                                            "vocab",
                                            "merges"};
  for (const auto& [name, value] : model.members())
    if (!known.contains(name)) return refuse(origin, "model." + name, &value);
  return {};
}

Result<void> put_token(TokenizerSpec& spec, const std::string& text, const Json& id, const std::string& origin) {
  constexpr std::int64_t kMaxId = 1 << 24;
  const std::string what = origin + ": token '" + text.substr(0, 60) + "'";
  if (!id.is_int() || id.as_int() < 0 || id.as_int() >= kMaxId) return invalid(what + " has no usable id");
  const auto at = static_cast<std::size_t>(id.as_int());
  if (text.empty()) return invalid(origin + ": token " + std::to_string(at) + " is empty");
  if (at >= spec.tokens.size()) spec.tokens.resize(at + 1);
  if (!spec.tokens[at].empty() && spec.tokens[at] != text)
    return invalid(what + " has the id " + std::to_string(at) + " of token '" + spec.tokens[at].substr(0, 60) + "'");
  spec.tokens[at] = text;
  return {};
}

Result<void> read_vocabulary(TokenizerSpec& spec, const Json& json, const Json& model, const std::string& origin) {
  SOTTO_TRY(const auto* vocabulary, model.get_object("vocab"));
  for (const auto& [text, id] : *vocabulary) SOTTO_TRY_VOID(put_token(spec, text, id, origin));
  if (absent(json.find("added_tokens"))) return {};
  SOTTO_TRY(const auto* added, json.get_array("added_tokens"));
  std::size_t next = vocabulary->size();  // the id that `tokenizers` gives a new token (added_vocabulary.rs, add_tokens)
  for (const Json& token : *added) {
    SOTTO_TRY(const auto text, token.get_string("content"));
    SOTTO_TRY(auto read, added_token(token, text, origin));
    const Json* id = token.find("id");
    const Json value = id == nullptr ? Json() : *id;
    const auto at = value.is_int() && value.as_int() >= 0 ? static_cast<std::size_t>(value.as_int()) : spec.tokens.size();
    read.in_model = at < spec.tokens.size() && spec.tokens[at] == text;
    const bool taken = at < spec.tokens.size() && !spec.tokens[at].empty();
    SOTTO_TRY_VOID(put_token(spec, text, value, origin));
    if (!taken && at != next)
      return invalid(origin + ": the added token '" + text.substr(0, 60) + "' has the id " + std::to_string(at) +
                     ", and the tokenizers library gives it " + std::to_string(next) +
                     " (ids of added tokens follow the vocabulary without a hole); write the tokenizer anew");
    next = std::max(next, at + 1);
    read.id = static_cast<std::int32_t>(value.as_int());
    spec.added.push_back(read);
  }
  std::ranges::sort(spec.added, {}, &AddedToken::id);
  const auto twice = std::ranges::adjacent_find(spec.added, {}, &AddedToken::id);
  if (twice != spec.added.end())
    return invalid(origin + ": the added token of id " + std::to_string(twice->id) + " occurs twice");
  return {};
}

Result<void> read_merges(TokenizerSpec& spec, const Json& model, const std::string& origin) {
  SOTTO_TRY(const auto* merges, model.get_array("merges"));
  spec.merges.reserve(merges->size());
  for (const Json& merge : *merges) {
    const std::string what = origin + ": merge " + std::to_string(spec.merges.size());
    if (merge.is_array() && merge.items().size() == 2 && merge.at(0).is_string() && merge.at(1).is_string()) {
      spec.merges.emplace_back(merge.at(0).as_string(), merge.at(1).as_string());
      continue;
    }
    const std::string text = merge.is_string() ? merge.as_string() : "";
    const auto space = text.find(' ');
    if (space == std::string::npos) return invalid(what + " is no pair of tokens");
    spec.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return {};
}

// An unknown-token setting counts when a byte or a character has no token.
Result<void> read_unknown(TokenizerSpec& spec, const Json& model, const std::string& origin) {
  const Json* unknown = model.find("unk_token");
  if (absent(unknown)) return {};
  const auto known = unknown->is_string() ? std::ranges::find(spec.tokens, unknown->as_string()) : spec.tokens.end();
  if (known != spec.tokens.end()) {
    spec.unknown = static_cast<std::int32_t>(known - spec.tokens.begin());
    return {};
  }
  const std::unordered_set<std::string_view> all(spec.tokens.begin(), spec.tokens.end());
  const bool complete =
      spec.byte_level() && std::ranges::all_of(byte_level_characters(), [&](const auto& c) { return all.contains(c); });
  if (!complete) return refuse(origin, "model.unk_token", unknown);
  return {};
}

}  // namespace

Result<AddedToken> hugging_face::added_token(const Json& json, const std::string& text, const std::string& origin) {
  AddedToken out;
  const auto flag = [&](const char* name, bool& value) -> Result<void> {
    const Json* given = json.find(name);
    if (absent(given)) return {};
    if (!given->is_bool()) return refuse(origin, "added token '" + text.substr(0, 60) + "'." + name, given);
    value = given->as_bool();
    return {};
  };
  SOTTO_TRY_VOID(flag("special", out.special));
  out.normalized = !out.special;
  SOTTO_TRY_VOID(flag("single_word", out.single_word));
  SOTTO_TRY_VOID(flag("lstrip", out.lstrip));
  SOTTO_TRY_VOID(flag("rstrip", out.rstrip));
  SOTTO_TRY_VOID(flag("normalized", out.normalized));
  return out;
}

Result<TokenizerSpec> tokenizer_spec(const Json& json, const std::string& path) {
  if (!json.is_object()) return invalid(path + ": not a JSON object");
  TokenizerSpec out;  // truncation and padding do not count: transformers resets them before it encodes a text
  SOTTO_TRY_VOID(read_normalizer(out, json, path));
  SOTTO_TRY_VOID(read_pre_tokenizer(out, json, path));
  SOTTO_TRY_VOID(read_decoder(out, json, path));
  SOTTO_TRY_VOID(read_post_processor(out, json, path));
  const Json* model = json.find("model");
  if (model == nullptr || !model->is_object()) return refuse(path, "model", model);
  SOTTO_TRY_VOID(check_bpe(*model, path));
  out.byte_fallback = is_true(model->find("byte_fallback"));
  out.ignore_merges = is_true(model->find("ignore_merges"));
  out.fuse_unknown = is_true(model->find("fuse_unk"));
  SOTTO_TRY_VOID(read_vocabulary(out, json, *model, path));
  SOTTO_TRY_VOID(read_merges(out, *model, path));
  SOTTO_TRY_VOID(read_unknown(out, *model, path));
  return out;
}

Result<TokenizerSpec> tokenizer_spec_from_folder(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  SOTTO_TRY(const Json json, Json::read_file(path));
  SOTTO_TRY(auto out, tokenizer_spec(json, path));
  SOTTO_TRY_VOID(read_companions(out, folder));
  return out;
}

}  // namespace sotto::data
