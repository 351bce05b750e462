#include "data/tokenizer/tokenizer_formats.h"

#include <algorithm>
#include <set>

#include "base/files.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/sentence_piece.h"
#include "data/tokenizer/tokenizer_spec.h"

namespace sotto::data {
namespace {

// tokenizer.ggml.token_type (llama.h, enum llama_token_type).
constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

Json byte_level(bool cuts) {
  return Json::object({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", cuts}});
}

Json sequence(Json first, Json second) {
  return Json::object({{"type", "Sequence"}, {"pretokenizers", Json::array({std::move(first), std::move(second)})}});
}

// Cut by an expression, in which families differ by how many digits make a word.
Json split_by_words(const std::string& digits) {
  const std::string expression = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits +
                                 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  return sequence(Json::object({{"type", "Split"},
                                {"pattern", Json::object({{"Regex", expression}})},
                                {"behavior", "Isolated"},
                                {"invert", false}}),
                  byte_level(false));
}

struct Family {
  std::string name;  // tokenizer.ggml.pre
  Json pre_tokenizer;
  Json normalizer;
};

std::vector<Family> families() {
  return {{"smollm", sequence(Json::object({{"type", "Digits"}, {"individual_digits", true}}), byte_level(true)), nullptr},
          {"gpt-2", byte_level(true), nullptr},
          {"llama-bpe", split_by_words("\\p{N}{1,3}"), nullptr},
          {"qwen2", split_by_words("\\p{N}"), Json::object({{"type", "NFC"}})}};
}

// Equal but for settings that only move offsets.
bool same_steps(const Json& a, const Json& b) {
  if (a.is_object() && b.is_object()) {
    const auto covers = [](const Json& x, const Json& y) {
      return std::ranges::all_of(x.members(), [&](const auto& member) {
        if (member.first == "trim_offsets") return true;
        const Json* other = y.find(member.first);
        // Absent in old files, where it means true.
        if (other == nullptr) return member.first == "use_regex" && member.second.is_bool() && member.second.as_bool();
        return same_steps(member.second, *other);
      });
    };
    return covers(a, b) && covers(b, a);
  }
  if (a.is_array() && b.is_array())
    return std::ranges::equal(a.items(), b.items(), [](const Json& x, const Json& y) { return same_steps(x, y); });
  return a.dump() == b.dump();
}

const Json& or_null(const Json* value) {
  static const Json null;
  return value == nullptr ? null : *value;
}

std::string shortened(const Json& json) {
  const std::string text = json.dump();
  return text.size() > 160 ? text.substr(0, 160) + "..." : text;
}

Result<std::string> family_name(const Json& tokenizer, const std::string& origin) {
  const Json &pre = or_null(tokenizer.find("pre_tokenizer")), &normalizer = or_null(tokenizer.find("normalizer"));
  for (const auto& family : families())
    if (same_steps(pre, family.pre_tokenizer) && same_steps(normalizer, family.normalizer)) return family.name;
  return unsupported(origin + ": pre_tokenizer = " + shortened(pre) + " with normalizer = " + shortened(normalizer) +
                     " has no name in a GGUF file that this version knows; convert with llama.cpp's convert_hf_to_gguf.py "
                     "(`sotto-client merge` writes the folder for it)");
}

// tokenizer.ggml.tokens and .token_type, up to the model's vocabulary.
struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
};

bool is_byte_token(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with(">");
}

Result<Vocabulary> vocabulary_of(const TokenizerSpec& spec, std::uint32_t size, const std::string& origin) {
  if (spec.tokens.size() > size)
    return invalid(origin + ": the token '" + spec.tokens.back().substr(0, 60) + "' has the id " +
                   std::to_string(spec.tokens.size() - 1) + " where the model has " + std::to_string(size) +
                   " tokens; tokenizer and model do not belong together");
  Vocabulary v{spec.tokens, std::vector<std::int32_t>(size, kNormal)};
  v.tokens.resize(size);
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    if (spec.byte_fallback && is_byte_token(v.tokens[id])) v.types[id] = kByte;
    if (!v.tokens[id].empty()) continue;
    v.tokens[id] = "[PAD" + std::to_string(id) + "]";
    v.types[id] = kUnused;
  }
  for (const auto& token : spec.added) v.types[static_cast<std::size_t>(token.id)] = token.special ? kControl : kUserDefined;
  return v;
}

// What a GGUF file has no key for.
Result<void> check_sayable(const TokenizerSpec& spec, const std::string& origin) {
  const auto refused = [&](const std::string& what) {
    return unsupported(origin + ": " + what +
                       " has no place in a GGUF file; keep the model as a Hugging Face folder (`sotto-client merge`)");
  };
  const bool prepends =
      std::ranges::any_of(spec.normalizers, [](const Normalizer& n) { return std::holds_alternative<Prepend>(n); });
  for (const auto& token : spec.added) {
    const std::string& text = spec.tokens[static_cast<std::size_t>(token.id)];
    const char* flag = token.single_word ? "single_word" : token.lstrip ? "lstrip" : token.rstrip ? "rstrip" : nullptr;
    // Looked for in the normalized text: the same thing where normalizing leaves such a token as it is. Llama 2's control
    // tokens are so by oversight; programs put those by id.
    const bool changes = prepends ? !token.special : !spec.normalizers.empty() && text.find(' ') != std::string::npos;
    if (token.normalized && changes) flag = "normalized";
    if (flag != nullptr) return refused("added token '" + text.substr(0, 60) + "'." + flag);
  }
  if (spec.before.size() > 1 || spec.after.size() > 1 ||
      (!spec.before.empty() && spec.bos && spec.before.front() != *spec.bos) ||
      (!spec.after.empty() && spec.after.front() != spec.eos))
    return refused("post_processor, which puts other tokens around a text than BOS and EOS,");
  const std::set<std::string_view> all(spec.tokens.begin(), spec.tokens.end());
  if (spec.byte_level() && spec.unknown &&
      !std::ranges::all_of(byte_level_characters(), [&](const auto& c) { return all.contains(c); }))
    return refused("model.unk_token, which bytes without a token become,");
  return {};
}

std::vector<std::string> joined(const std::vector<std::pair<std::string, std::string>>& merges) {
  std::vector<std::string> out;
  out.reserve(merges.size());
  for (const auto& [left, right] : merges) out.push_back(left + " " + right);
  return out;
}

// A token setting is a text or an object with `content`.
std::string token_setting(const Json& config, const char* name) {
  const Json* value = config.find(name);
  if (value != nullptr && value->is_object()) value = value->find("content");
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

struct SpecialToken {
  const char* setting;  // in tokenizer_config.json
  const char* key;      // in a GGUF file
};
constexpr SpecialToken kSpecial[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                     {"eos_token", "tokenizer.ggml.eos_token_id"},
                                     {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                     {"pad_token", "tokenizer.ggml.padding_token_id"}};

void put_ends(const TokenizerSpec& spec, const Json& config, const Vocabulary& vocabulary, GgufMetadata& out) {
  for (const auto& [setting, key] : kSpecial) {
    const auto at = std::ranges::find(vocabulary.tokens, token_setting(config, setting));
    if (at != vocabulary.tokens.end())
      out.u32(key, static_cast<std::uint32_t>(at - vocabulary.tokens.begin()));
    else if (std::string_view(setting) == "bos_token" && !spec.before.empty())  // only the post-processor names it
      out.u32(key, static_cast<std::uint32_t>(spec.before.front()));
    else if (std::string_view(setting) == "unk_token" && spec.unknown && !spec.byte_level())
      out.u32(key, static_cast<std::uint32_t>(*spec.unknown));
  }
  out.boolean("tokenizer.ggml.add_bos_token", !spec.before.empty());
  if (!spec.after.empty()) out.boolean("tokenizer.ggml.add_eos_token", true);
}

// What stands around a text: only tokenizer.json says so where there is one (hugging_face_companions.cc).
Json post_processor(const TokenizerSpec& spec) {
  if (spec.before.empty() && spec.after.empty()) return nullptr;
  const auto item = [](const char* kind, const std::string& id, int type) {
    return Json::object({{kind, Json::object({{"id", id}, {"type_id", type}})}});
  };
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto add = [&](const std::vector<std::int32_t>& ids) {
    for (const auto id : ids) {
      const std::string& text = spec.tokens[static_cast<std::size_t>(id)];
      single.push(item("SpecialToken", text, 0));
      pair.push(item("SpecialToken", text, 0));
      tokens.set(text, Json::object({{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}}));
    }
  };
  add(spec.before);
  single.push(item("Sequence", "A", 0));
  pair.push(item("Sequence", "A", 0)).push(item("Sequence", "B", 1));
  add(spec.after);
  return Json::object({{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}});
}

}  // namespace

Result<void> tokenizer_to_gguf(const std::string& folder, std::uint32_t vocab_size, GgufMetadata& out) {
  const std::string origin = folder + "/tokenizer.json", config_path = folder + "/tokenizer_config.json";
  if (!file_exists(origin)) {
    if (file_exists(folder + "/tokenizer.model"))
      return unsupported(folder +
                         "/tokenizer.model: this version exports tokenizers from tokenizer.json alone; save the "
                         "tokenizer with transformers first");
    out.text("tokenizer.ggml.model", "none");
    return {};
  }
  SOTTO_TRY(const auto spec, tokenizer_spec_from_folder(folder));
  SOTTO_TRY_VOID(check_sayable(spec, origin));
  SOTTO_TRY(auto vocabulary, vocabulary_of(spec, vocab_size, origin));
  Json config = Json::object();
  if (file_exists(config_path)) {
    SOTTO_TRY(config, Json::read_file(config_path));
  }
  if (spec.byte_level()) {
    SOTTO_TRY(const auto tokenizer, Json::read_file(origin));
    SOTTO_TRY(const auto family, family_name(tokenizer, origin));
    out.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", family);
  } else {
    SOTTO_TRY_VOID(put_sentence_piece(spec, origin, vocab_size, out));
    if (spec.unknown && vocabulary.types[static_cast<std::size_t>(*spec.unknown)] == kControl)
      vocabulary.types[static_cast<std::size_t>(*spec.unknown)] = kUnknown;
  }
  out.texts("tokenizer.ggml.tokens", vocabulary.tokens).i32s("tokenizer.ggml.token_type", vocabulary.types);
  out.texts("tokenizer.ggml.merges", joined(spec.merges));
  put_ends(spec, config, vocabulary, out);
  if (!spec.chat_template.empty()) out.text("tokenizer.chat_template", spec.chat_template);
  return {};
}

Result<TokenizerFiles> tokenizer_from_gguf(const GgufFile& file) {
  SOTTO_TRY(const auto kind, file.get_string("tokenizer.ggml.model"));
  SOTTO_TRY(const auto pre, kind == "gpt2" ? file.get_string("tokenizer.ggml.pre") : Result<std::string>(std::string()));
  const auto known = families();
  const auto family = std::ranges::find(known, pre, &Family::name);
  if (kind != "gpt2" || family == known.end())
    return unsupported(
        file.origin() + ": tokenizer.ggml.model = \"" + kind + "\", tokenizer.ggml.pre = \"" + pre +
        "\" has no tokenizer.json that this version can write; take the model's own Hugging Face folder as base");
  SOTTO_TRY(const auto spec, tokenizer_spec(file));
  SOTTO_TRY(const auto* tokens, file.get_strings("tokenizer.ggml.tokens"));
  SOTTO_TRY(const auto* merges, file.get_strings("tokenizer.ggml.merges"));
  const auto* types = std::get_if<std::vector<std::int64_t>>(file.find("tokenizer.ggml.token_type"));
  if (types == nullptr || types->size() != tokens->size())
    return invalid(file.origin() + ": tokenizer.ggml.token_type does not have one entry for each token");
  Json::Object vocab;
  Json added = Json::array(), pairs = Json::array();
  for (std::size_t id = 0; id < tokens->size(); ++id) {
    vocab.emplace_back((*tokens)[id], id);
    if ((*types)[id] != kControl && (*types)[id] != kUserDefined) continue;
    added.push(Json::object({{"id", id},
                             {"content", (*tokens)[id]},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", (*types)[id] == kControl}}));
  }
  for (const auto& merge : *merges) {
    const auto space = merge.find(' ', 1);
    if (space == std::string::npos)
      return invalid(file.origin() + ": the merge '" + merge.substr(0, 60) + "' is no pair of tokens");
    pairs.push(Json::array({merge.substr(0, space), merge.substr(space + 1)}));
  }
  Json model = Json::object({{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", pre == "llama-bpe"},
                             {"vocab", Json(std::move(vocab))},
                             {"merges", std::move(pairs)}});
  TokenizerFiles files;
  files.config = Json::object({{"tokenizer_class", "PreTrainedTokenizerFast"}});
  for (const auto& [setting, key] : kSpecial)
    if (const auto id = file.get_uint(key); id.ok() && *id < tokens->size()) files.config.set(setting, (*tokens)[*id]);
  if (const auto chat = file.get_string("tokenizer.chat_template"); chat.ok()) files.config.set("chat_template", *chat);
  files.tokenizer = Json::object({{"version", "1.0"},
                                  {"truncation", nullptr},
                                  {"padding", nullptr},
                                  {"added_tokens", std::move(added)},
                                  {"normalizer", family->normalizer},
                                  {"pre_tokenizer", family->pre_tokenizer},
                                  {"post_processor", post_processor(spec)},
                                  {"decoder", byte_level(true)},
                                  {"model", std::move(model)}});
  return files;
}

}  // namespace sotto::data
