// tokenizer.json and its companions, as the `tokenizers` library (0.23) writes them. The file can describe many tokenizers;
// each function below accepts the settings under which the result is plain byte-level BPE and refuses the others by name.
#include <algorithm>
#include <limits>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "data/byte_level.h"
#include "data/tokenizer_spec.h"

namespace sotto::data {
namespace {

Error refuse(const std::string& origin, const std::string& setting, const Json* value) {
  std::string text = value == nullptr ? "missing" : value->dump();
  if (text.size() > 120) text = text.substr(0, 120) + "...";
  return unsupported(origin + ": '" + setting + "' is " + text + ", which this version does not read");
}

bool absent(const Json* value) { return value == nullptr || value->is_null(); }
bool is_text(const Json* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->as_string() == text;
}
bool is_false(const Json* value) { return absent(value) || (value->is_bool() && !value->as_bool()); }
bool is_true(const Json* value) { return value != nullptr && value->is_bool() && value->as_bool(); }

bool is_byte_level(const Json* step) { return step != nullptr && is_text(step->find("type"), "ByteLevel"); }

bool is_gpt2_split(const Json* step) {
  if (!is_byte_level(step)) return false;
  const Json* regex = step->find("use_regex");  // absent in old files, where it means true
  return is_false(step->find("add_prefix_space")) && (regex == nullptr || is_true(regex));
}

bool is_digit_split(const Json* step) {
  return is_text(step->find("type"), "Digits") && is_true(step->find("individual_digits"));
}

Result<PreTokenizer> read_pre_tokenizer(const Json& json, const std::string& origin) {
  const Json* step = json.find("pre_tokenizer");
  if (is_gpt2_split(step)) return PreTokenizer::kGpt2;
  if (step == nullptr || !is_text(step->find("type"), "Sequence")) return refuse(origin, "pre_tokenizer", step);
  SOTTO_TRY(const auto* steps, step->get_array("pretokenizers"));
  if (steps->size() == 1 && is_gpt2_split(&steps->front())) return PreTokenizer::kGpt2;
  if (steps->size() == 2 && is_digit_split(&steps->front()) && is_gpt2_split(&steps->back()))
    return PreTokenizer::kDigitsThenGpt2;
  return refuse(origin, "pre_tokenizer", step);
}

Result<void> check_pipeline(const Json& json, const std::string& origin) {
  for (const char* name : {"normalizer", "truncation", "padding"})
    if (!absent(json.find(name))) return refuse(origin, name, json.find(name));
  // A ByteLevel post-processor only trims offsets.
  if (const Json* step = json.find("post_processor"); !absent(step) && !is_byte_level(step))
    return refuse(origin, "post_processor", step);
  if (!is_byte_level(json.find("decoder"))) return refuse(origin, "decoder", json.find("decoder"));
  return {};
}

Result<void> check_bpe(const Json& model, const std::string& origin) {
  if (!is_text(model.find("type"), "BPE")) return refuse(origin, "model.type", model.find("type"));
  const Json* dropout = model.find("dropout");
  if (!absent(dropout) && !(dropout->is_number() && dropout->as_double() == 0))
    return refuse(origin, "model.dropout", dropout);
  for (const char* name : {"byte_fallback", "ignore_merges"})
    if (!is_false(model.find(name))) return refuse(origin, std::string("model.") + name, model.find(name));
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!absent(model.find(name)) && !is_text(model.find(name), ""))
      return refuse(origin, std::string("model.") + name, model.find(name));
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
  if (!absent(json.find("added_tokens"))) {
    SOTTO_TRY(const auto* added, json.get_array("added_tokens"));
    for (const Json& token : *added) {
      SOTTO_TRY(const auto text, token.get_string("content"));
      const std::string what = "added token '" + text.substr(0, 60) + "'.";
      for (const char* name : {"single_word", "lstrip", "rstrip"})
        if (!is_false(token.find(name))) return refuse(origin, what + name, token.find(name));
      if (!is_true(token.find("special"))) return refuse(origin, what + "special", token.find("special"));
      const Json* id = token.find("id");
      SOTTO_TRY_VOID(put_token(spec, text, id == nullptr ? Json() : *id, origin));
      spec.control_ids.push_back(static_cast<std::int32_t>(id->as_int()));
    }
  }
  std::ranges::sort(spec.control_ids);
  const auto hole = std::ranges::find(spec.tokens, "");
  if (hole != spec.tokens.end())
    return invalid(origin + ": no token has the id " + std::to_string(hole - spec.tokens.begin()) +
                   ", but higher ids are taken");
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

// An unknown-token setting matters only for a byte without a token: those vanish here, there they become that token.
Result<void> check_unknown(const TokenizerSpec& spec, const Json& model, const std::string& origin) {
  const Json* unknown = model.find("unk_token");
  if (absent(unknown)) return {};
  const std::set<std::string_view> known(spec.tokens.begin(), spec.tokens.end());
  for (const auto& character : byte_level_characters())
    if (!known.contains(character)) return refuse(origin, "model.unk_token", unknown);
  return {};
}

// A token setting is a text or an object with `content`.
std::optional<std::string> token_setting(const Json& config, std::string_view name) {
  const Json* value = config.find(name);
  if (value != nullptr && value->is_object()) value = value->find("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->as_string();
}

Result<std::optional<std::int32_t>> token_id(const TokenizerSpec& spec, const Json& config, std::string_view name,
                                             const std::string& origin) {
  const auto text = token_setting(config, name);
  if (!text) return std::optional<std::int32_t>();
  const auto it = std::ranges::find(spec.tokens, *text);
  if (it == spec.tokens.end())
    return invalid(origin + ": '" + std::string(name) + "' is '" + text->substr(0, 60) +
                   "', which is not in the vocabulary");
  return std::optional(static_cast<std::int32_t>(it - spec.tokens.begin()));
}

// A text, or a list of {name, template} of which "default" counts.
Result<std::string> read_chat_template(const Json& config, const std::string& origin) {
  const Json* value = config.find("chat_template");
  if (absent(value)) return std::string();
  if (value->is_string()) return value->as_string();
  if (value->is_array())
    for (const Json& item : value->items())
      if (is_text(item.find("name"), "default")) return item.get_string("template");
  return refuse(origin, "chat_template", value);
}

Result<void> read_config(TokenizerSpec& spec, const std::string& folder) {
  const std::string path = folder + "/tokenizer_config.json";
  if (file_exists(path)) {
    SOTTO_TRY(const Json config, Json::read_file(path));
    SOTTO_TRY(spec.bos, token_id(spec, config, "bos_token", path));
    SOTTO_TRY(spec.eos, token_id(spec, config, "eos_token", path));
    spec.add_bos = is_true(config.find("add_bos_token"));
    spec.add_eos = is_true(config.find("add_eos_token"));
    SOTTO_TRY(spec.chat_template, read_chat_template(config, path));
  }
  if (const std::string jinja = folder + "/chat_template.jinja"; file_exists(jinja)) {
    SOTTO_TRY(spec.chat_template, read_text_file(jinja));
  }
  return {};
}

}  // namespace

Result<TokenizerSpec> tokenizer_spec_from_folder(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  SOTTO_TRY(const Json json, Json::read_file(path));
  SOTTO_TRY_VOID(check_pipeline(json, path));
  TokenizerSpec out;
  SOTTO_TRY(out.pre_tokenizer, read_pre_tokenizer(json, path));
  const Json* model = json.find("model");
  if (model == nullptr || !model->is_object()) return refuse(path, "model", model);
  SOTTO_TRY_VOID(check_bpe(*model, path));
  SOTTO_TRY_VOID(read_vocabulary(out, json, *model, path));
  SOTTO_TRY_VOID(read_merges(out, *model, path));
  SOTTO_TRY_VOID(check_unknown(out, *model, path));
  SOTTO_TRY_VOID(read_config(out, folder));
  return out;
}

}  // namespace sotto::data
