// tokenizer.json's normalizer, pre_tokenizer, decoder and post_processor (`tokenizers` 0.23). A step is read when all of its
// members are known and have values that are described in tokenizer_spec.h; any other is refused with its JSON.
#include <algorithm>
#include <set>

#include "data/tokenizer/hugging_face_json.h"

namespace sotto::data::hugging_face {
namespace {

// A step of the pipeline, with reads that say what was wrong.
class Step {
 public:
  Step(const Json& json, std::string setting, const std::string& origin)
      : json_(json), setting_(std::move(setting)), origin_(origin) {}

  const std::string& setting() const { return setting_; }
  Error refused() const { return refuse(origin_, setting_, &json_); }
  bool is(std::string_view type) const { return is_text(json_.find("type"), type); }

  // Whether every member is one of `names`.
  bool only(std::set<std::string_view> names) const {
    names.insert("type");
    return std::ranges::all_of(json_.members(), [&](const auto& member) { return names.contains(member.first); });
  }
  Result<std::string> text(const char* name) const {
    const Json* value = json_.find(name);
    if (value == nullptr || !value->is_string()) return refused();
    return value->as_string();
  }
  Result<bool> flag(const char* name, bool otherwise) const {
    const Json* value = json_.find(name);
    if (absent(value)) return otherwise;
    if (!value->is_bool()) return refused();
    return value->as_bool();
  }
  Result<std::size_t> count(const char* name) const {
    const Json* value = json_.find(name);
    if (value == nullptr || !value->is_int() || value->as_int() < 0) return refused();
    return static_cast<std::size_t>(value->as_int());
  }
  Result<Pattern> pattern(const char* name) const {
    const Json* value = json_.find(name);
    if (value == nullptr || !value->is_object() || value->members().size() != 1 || !value->members()[0].second.is_string())
      return refused();
    const auto& [kind, what] = value->members()[0];
    if ((kind != "String" && kind != "Regex") || what.as_string().empty()) return refused();
    return Pattern{what.as_string(), kind == "Regex"};
  }

 private:
  const Json& json_;
  std::string setting_;
  const std::string& origin_;
};

// Calls `read` for a step, or for each step of a Sequence, whose list has the name `list`.
template <class Read>
Result<void> for_each_step(const Json* json, const std::string& setting, const char* list, const std::string& origin,
                           Read read) {
  if (absent(json)) return {};
  if (!json->is_object()) return refuse(origin, setting, json);
  if (!is_text(json->find("type"), "Sequence")) return read(Step(*json, setting, origin));
  const Json* steps = json->find(list);
  if (steps == nullptr || !steps->is_array()) return refuse(origin, setting, json);
  for (std::size_t i = 0; i < steps->items().size(); ++i)
    SOTTO_TRY_VOID(for_each_step(&steps->at(i), setting + "[" + std::to_string(i) + "]", list, origin, read));
  return {};
}

Result<Normalizer> normalizer(const Step& step) {
  constexpr std::pair<const char*, UnicodeForm> kForms[] = {
      {"NFC", UnicodeForm::kNfc}, {"NFD", UnicodeForm::kNfd}, {"NFKC", UnicodeForm::kNfkc}, {"NFKD", UnicodeForm::kNfkd}};
  for (const auto& [name, form] : kForms)
    if (step.is(name) && step.only({})) return Normalizer(form);
  if (step.is("Lowercase") && step.only({})) return Normalizer(Lowercase{});
  if (step.is("Prepend") && step.only({"prepend"})) {
    SOTTO_TRY(auto text, step.text("prepend"));
    return Normalizer(Prepend{std::move(text)});
  }
  if (step.is("Replace") && step.only({"pattern", "content"})) {
    SOTTO_TRY(auto pattern, step.pattern("pattern"));
    SOTTO_TRY(auto content, step.text("content"));
    return Normalizer(Replace{std::move(pattern), std::move(content)});
  }
  return step.refused();
}

Result<Metaspace> metaspace(const Step& step) {
  if (!step.only({"replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"})) return step.refused();
  Metaspace out;
  SOTTO_TRY(out.replacement, step.text("replacement"));
  if (out.replacement.empty()) return step.refused();
  SOTTO_TRY(out.split, step.flag("split", true));
  SOTTO_TRY(const bool prefix, step.flag("add_prefix_space", true));  // what old files have
  out.prefix = prefix ? PrefixScheme::kAlways : PrefixScheme::kNever;
  const auto scheme = step.text("prepend_scheme");
  if (!scheme.ok()) return out;
  if (*scheme == "always" && prefix)
    out.prefix = PrefixScheme::kAlways;
  else if (*scheme == "first" && prefix)
    out.prefix = PrefixScheme::kFirst;
  else if (*scheme == "never")
    out.prefix = PrefixScheme::kNever;
  else
    return step.refused();
  return out;
}

Result<ByteLevel> byte_level(const Step& step) {
  if (!step.only({"add_prefix_space", "trim_offsets", "use_regex"})) return step.refused();
  ByteLevel out;
  SOTTO_TRY(out.prefix_space, step.flag("add_prefix_space", true));
  SOTTO_TRY(out.gpt2_regex, step.flag("use_regex", true));
  return out;
}

Result<PreTokenizer> split(const Step& step) {
  constexpr std::pair<const char*, SplitBehaviour> kBehaviours[] = {
      {"Removed", SplitBehaviour::kRemoved},
      {"Isolated", SplitBehaviour::kIsolated},
      {"Contiguous", SplitBehaviour::kContiguous},
      {"MergedWithPrevious", SplitBehaviour::kMergedWithPrevious},
      {"MergedWithNext", SplitBehaviour::kMergedWithNext}};
  if (!step.only({"pattern", "behavior", "invert"})) return step.refused();
  SplitBy out;
  SOTTO_TRY(out.pattern, step.pattern("pattern"));
  SOTTO_TRY(out.invert, step.flag("invert", false));
  SOTTO_TRY(const auto behaviour, step.text("behavior"));
  const auto* known =
      std::ranges::find(kBehaviours, behaviour, [](const auto& pair) { return std::string_view(pair.first); });
  if (known == std::end(kBehaviours)) return step.refused();
  out.behaviour = known->second;
  return PreTokenizer(std::move(out));
}

Result<PreTokenizer> pre_tokenizer(const Step& step) {
  if (step.is("Split")) return split(step);
  if (step.is("Digits") && step.only({"individual_digits"})) {
    SOTTO_TRY(const bool individual, step.flag("individual_digits", false));
    return PreTokenizer(Digits{individual});
  }
  if (step.is("ByteLevel")) {
    SOTTO_TRY(const auto out, byte_level(step));
    return PreTokenizer(out);
  }
  if (step.is("Metaspace")) {
    SOTTO_TRY(auto out, metaspace(step));
    return PreTokenizer(out);
  }
  return step.refused();
}

Result<Decoder> decoder(const Step& step) {
  if (step.is("ByteFallback") && step.only({})) return Decoder(ByteFallback{});
  if (step.is("Fuse") && step.only({})) return Decoder(Fuse{});
  if (step.is("ByteLevel")) {
    SOTTO_TRY(const auto out, byte_level(step));
    return Decoder(out);
  }
  if (step.is("Metaspace")) {
    SOTTO_TRY(auto out, metaspace(step));
    return Decoder(out);
  }
  if (step.is("Replace") && step.only({"pattern", "content"})) {
    SOTTO_TRY(auto pattern, step.pattern("pattern"));
    SOTTO_TRY(auto content, step.text("content"));
    return Decoder(Replace{std::move(pattern), std::move(content)});
  }
  if (step.is("Strip") && step.only({"content", "start", "stop"})) {
    Strip out;
    SOTTO_TRY(out.content, step.text("content"));
    SOTTO_TRY(out.start, step.count("start"));
    SOTTO_TRY(out.stop, step.count("stop"));
    return Decoder(out);
  }
  return step.refused();
}

// The ids of a template's special token.
Result<std::vector<std::int32_t>> template_ids(const Json& processor, const Json& item, const Error& otherwise) {
  const Json* id = item.find("id");
  const Json* all = processor.find("special_tokens");
  if (id == nullptr || !id->is_string() || all == nullptr) return otherwise;
  const Json* token = all->find(id->as_string());
  const Json* ids = token == nullptr ? nullptr : token->find("ids");
  if (ids == nullptr || !ids->is_array()) return otherwise;
  std::vector<std::int32_t> out;
  for (const Json& value : ids->items()) {
    if (!value.is_int() || value.as_int() < 0 || value.as_int() >= (1 << 24)) return otherwise;
    out.push_back(static_cast<std::int32_t>(value.as_int()));
  }
  return out;
}

// "single": special tokens, the sequence once, special tokens. What pairs of texts get does not matter here.
Result<void> read_template(TokenizerSpec& spec, const Json& processor, const Error& otherwise) {
  const Json* single = processor.find("single");
  if (single == nullptr || !single->is_array()) return otherwise;
  bool behind = false;
  for (const Json& item : single->items()) {
    if (item.find("Sequence") != nullptr) {
      if (behind) return otherwise;
      behind = true;
      continue;
    }
    const Json* special = item.find("SpecialToken");
    if (special == nullptr) return otherwise;
    SOTTO_TRY(const auto ids, template_ids(processor, *special, otherwise));
    auto& list = behind ? spec.after : spec.before;
    list.insert(list.end(), ids.begin(), ids.end());
  }
  if (!behind) return otherwise;
  return {};
}

}  // namespace

Result<void> read_normalizer(TokenizerSpec& spec, const Json& json, const std::string& origin) {
  return for_each_step(json.find("normalizer"), "normalizer", "normalizers", origin, [&](const Step& step) -> Result<void> {
    SOTTO_TRY(auto read, normalizer(step));
    spec.normalizers.push_back(std::move(read));
    return {};
  });
}

Result<void> read_pre_tokenizer(TokenizerSpec& spec, const Json& json, const std::string& origin) {
  return for_each_step(json.find("pre_tokenizer"), "pre_tokenizer", "pretokenizers", origin,
                       [&](const Step& step) -> Result<void> {
                         if (spec.byte_level()) return step.refused();  // it would work on byte-level characters
                         SOTTO_TRY(auto read, pre_tokenizer(step));
                         spec.pre_tokenizers.push_back(std::move(read));
                         return {};
                       });
}

Result<void> read_decoder(TokenizerSpec& spec, const Json& json, const std::string& origin) {
  const Json* step = json.find("decoder");
  if (absent(step)) return refuse(origin, "decoder", step);
  return for_each_step(step, "decoder", "decoders", origin, [&](const Step& one) -> Result<void> {
    SOTTO_TRY(auto read, decoder(one));
    spec.decoders.push_back(std::move(read));
    return {};
  });
}

Result<void> read_post_processor(TokenizerSpec& spec, const Json& json, const std::string& origin) {
  const Json* whole = json.find("post_processor");
  bool templated = false;
  const auto read = [&](const Json* step, const Error& otherwise) -> Result<void> {
    if (is_text(step->find("type"), "ByteLevel")) return {};  // it only trims offsets
    if (!is_text(step->find("type"), "TemplateProcessing") || templated) return otherwise;
    templated = true;
    return read_template(spec, *step, otherwise);
  };
  if (absent(whole)) return {};
  const Error otherwise = refuse(origin, "post_processor", whole);
  if (!is_text(whole->find("type"), "Sequence")) return read(whole, otherwise);
  const Json* steps = whole->find("processors");
  if (steps == nullptr || !steps->is_array()) return otherwise;
  for (const Json& step : steps->items()) SOTTO_TRY_VOID(read(&step, otherwise));
  return {};
}

}  // namespace sotto::data::hugging_face
