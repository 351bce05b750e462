// The files beside tokenizer.json, as transformers (5.24) reads them when there is a tokenizer.json:
// tokenizer_config.json, chat_template.jinja and, where the configuration has no added_tokens_decoder, special_tokens_map.json
// and added_tokens.json. Tokens that only these files name are added as transformers adds them (tokenization_utils_base.py,
// _from_pretrained; tokenization_utils_tokenizers.py, __init__): a token of the vocabulary keeps its id, a new one gets the
// next. Where a file says another id, the folder is refused. add_bos_token and add_eos_token do not count: the post-processor
// of tokenizer.json says what stands around a text.
#include <algorithm>

#include "base/check.h"
#include "base/files.h"
#include "data/tokenizer/hugging_face_json.h"

namespace sotto::data::hugging_face {
namespace {

// In the order in which transformers adds them.
constexpr const char* kNamed[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

// A token setting is a text or an object with `content`.
std::optional<std::string> token_text(const Json* value) {
  if (value != nullptr && value->is_object()) value = value->find("content");
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->as_string();
}

bool is_named(std::string_view key) { return std::ranges::find(kNamed, key) != std::end(kNamed); }

// What the files beside tokenizer.json say, and where it is said.
class Companions {
 public:
  Companions(TokenizerSpec& spec, Json config, std::string origin)
      : spec_(spec), config_(std::move(config)), origin_(std::move(origin)) {}

  const Json& config() const { return config_; }

  // special_tokens_map.json counts more than tokenizer_config.json.
  Result<void> merge(const Json& map, const std::string& origin) {
    if (!map.is_object()) return invalid(origin + ": not a JSON object");
    for (const auto& [key, value] : map.members()) config_.set(key, value);
    return {};
  }

  // {"50257": {"content": "<x>", "special": true, ...}, ...}
  Result<void> add_numbered() {
    const Json* tokens = config_.find("added_tokens_decoder");
    if (absent(tokens)) return {};
    if (!tokens->is_object()) return refuse(origin_, "added_tokens_decoder", tokens);
    struct Numbered {
      std::int64_t id;
      const Json* token;
    };
    std::vector<Numbered> all;
    for (const auto& [key, token] : tokens->members()) {
      const bool is_number = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
      if (!is_number || !token.is_object()) return refuse(origin_, "added_tokens_decoder." + key.substr(0, 60), &token);
      all.push_back({std::stoll(key), &token});
    }
    std::ranges::sort(all, {}, &Numbered::id);
    for (const auto& [id, token] : all) SOTTO_TRY_VOID(add("added_tokens_decoder", token, true, id));
    return {};
  }

  // {"<x>": 50257, ...}
  Result<void> add_from_file(const Json& file, const std::string& origin) {
    if (!file.is_object()) return invalid(origin + ": not a JSON object");
    struct Numbered {
      std::int64_t id;
      const std::string* text;
    };
    std::vector<Numbered> all;
    for (const auto& [text, id] : file.members()) {
      if (!id.is_int() || id.as_int() < 0) return refuse(origin, text.substr(0, 60), &id);
      all.push_back({id.as_int(), &text});
    }
    std::ranges::sort(all, {}, &Numbered::id);
    for (const auto& [id, text] : all) {
      const bool special = names_as_special(*text);
      const Json token = Json::object({{"content", *text}, {"special", special}, {"normalized", !special}});
      SOTTO_TRY_VOID(add(origin, &token, false, id));
    }
    return {};
  }

  Result<void> add_named() {
    for (const char* const name : kNamed) SOTTO_TRY_VOID(add_special(name, config_.find(name)));
    for (const auto& [key, value] : config_.members())
      if (key.ends_with("_token") && !is_named(key) && value.is_string()) SOTTO_TRY_VOID(add_special(key, &value));
    const Json* list = extra();
    if (absent(list)) return {};
    if (list->is_object())
      for (const auto& [key, value] : list->members()) SOTTO_TRY_VOID(add_special("extra_special_tokens." + key, &value));
    else if (list->is_array())
      for (const Json& value : list->items()) SOTTO_TRY_VOID(add_special("extra_special_tokens", &value));
    else
      return refuse(origin_, "extra_special_tokens", list);
    return {};
  }

 private:
  const Json* extra() const {
    const Json *now = config_.find("extra_special_tokens"), *before = config_.find("additional_special_tokens");
    const bool is_empty =
        absent(now) || (now->is_array() && now->items().empty()) || (now->is_object() && now->members().empty());
    return is_empty && !absent(before) ? before : now;
  }

  bool names_as_special(const std::string& text) const {
    const auto is = [&](const Json* value) { return token_text(value) == text; };
    if (std::ranges::any_of(kNamed, [&](const char* name) { return is(config_.find(name)); })) return true;
    const Json* list = extra();
    return list != nullptr && list->is_array() && std::ranges::any_of(list->items(), [&](const Json& v) { return is(&v); });
  }

  AddedToken* find_added(const std::string& text) {
    const auto found = std::ranges::find_if(
        spec_.added, [&](const AddedToken& t) { return spec_.tokens[static_cast<std::size_t>(t.id)] == text; });
    return found == spec_.added.end() ? nullptr : &*found;
  }

  // A token that a setting names as special; one that is added already stays as it is.
  Result<void> add_special(const std::string& setting, const Json* value) {
    if (absent(value)) return {};
    const auto text = token_text(value);
    if (!text) return refuse(origin_, setting, value);
    if (text->empty() || find_added(*text) != nullptr) return {};
    Json token = value->is_object() ? *value : Json::object({{"content", *text}});
    token.set("special", true);
    if (absent(token.find("normalized"))) token.set("normalized", false);
    return add(setting, &token, false, std::nullopt);
  }

  // `flags_count`: flags of a token that is added already are replaced.
  Result<void> add(const std::string& setting, const Json* json, bool flags_count, std::optional<std::int64_t> said) {
    const auto text = token_text(json);
    if (!text || text->empty()) return refuse(origin_, setting, json);
    SOTTO_TRY(AddedToken token, added_token(*json, *text, origin_));
    AddedToken* const known = find_added(*text);
    // The next id where there is no such token.
    const std::int64_t id = known != nullptr ? known->id : std::ranges::find(spec_.tokens, *text) - spec_.tokens.begin();
    if (said && *said != id)
      return invalid(origin_ + ": '" + setting.substr(0, 100) + "' gives the token '" + text->substr(0, 60) + "' the id " +
                     std::to_string(*said) + ", and by tokenizer.json it has " + std::to_string(id) +
                     "; write the tokenizer anew (save_pretrained of transformers)");
    if (known != nullptr) {
      token.in_model = known->in_model;
      token.id = known->id;
      token.special = token.special || (token != *known && names_as_special(*text));
      if (flags_count) *known = token;
      return {};
    }
    token.id = static_cast<std::int32_t>(id);
    token.in_model = static_cast<std::size_t>(id) < spec_.tokens.size();
    if (!token.in_model && std::ranges::any_of(spec_.tokens, &std::string::empty))
      return unsupported(origin_ + ": '" + setting.substr(0, 100) + "' names the token '" + text->substr(0, 60) +
                         "', which tokenizer.json has not, and the ids there have holes, so that its id is uncertain; write "
                         "the tokenizer anew (save_pretrained of transformers)");
    if (!token.in_model) spec_.tokens.push_back(*text);
    spec_.added.push_back(token);
    std::ranges::sort(spec_.added, {}, &AddedToken::id);
    return {};
  }

  TokenizerSpec& spec_;
  Json config_;
  std::string origin_;
};

Result<std::optional<std::int32_t>> token_id(const TokenizerSpec& spec, const Json& config, std::string_view name) {
  const auto text = token_text(config.find(name));
  if (!text || text->empty()) return std::optional<std::int32_t>();
  const auto it = std::ranges::find(spec.tokens, *text);
  SOTTO_CHECK(it != spec.tokens.end());  // add_named() put it there
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

}  // namespace

Result<void> read_companions(TokenizerSpec& spec, const std::string& folder) {
  const std::string path = folder + "/tokenizer_config.json";
  Json config = Json::object();
  if (file_exists(path)) {
    SOTTO_TRY(config, Json::read_file(path));
    if (!config.is_object()) return invalid(path + ": not a JSON object");
  }
  if (const Json* split = config.find("split_special_tokens"); !is_false(split))
    return refuse(path, "split_special_tokens", split);
  Companions companions(spec, std::move(config), path);
  const bool numbered = companions.config().find("added_tokens_decoder") != nullptr;
  if (const std::string map = folder + "/special_tokens_map.json"; !numbered && file_exists(map)) {
    SOTTO_TRY(const Json json, Json::read_file(map));
    SOTTO_TRY_VOID(companions.merge(json, map));
  }
  SOTTO_TRY_VOID(companions.add_numbered());
  if (const std::string added = folder + "/added_tokens.json"; !numbered && file_exists(added)) {
    SOTTO_TRY(const Json json, Json::read_file(added));
    SOTTO_TRY_VOID(companions.add_from_file(json, added));
  }
  SOTTO_TRY_VOID(companions.add_named());
  SOTTO_TRY(spec.bos, token_id(spec, companions.config(), "bos_token"));
  SOTTO_TRY(spec.eos, token_id(spec, companions.config(), "eos_token"));
  SOTTO_TRY(spec.chat_template, read_chat_template(companions.config(), path));
  if (const std::string jinja = folder + "/chat_template.jinja"; file_exists(jinja)) {
    SOTTO_TRY(spec.chat_template, read_text_file(jinja));
  }
  return {};
}

}  // namespace sotto::data::hugging_face
