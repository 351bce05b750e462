#include "data/tokenizer/tokenizer_spec.h"

#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "data/files/gguf_file.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/support/catch.h"

namespace sotto::data {
namespace {

// The fixture's tokenizer folder with tokenizer.json changed; removed at the end.
class Folder {
 public:
  explicit Folder(const Json& tokenizer)
      : path_(std::filesystem::temp_directory_path() / ("sotto-tokenizer-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    write_file_atomically(path("tokenizer.json"), tokenizer.dump()).value();
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }
  void put(const std::string& name, const Json& json) const { write_file_atomically(path(name), json.dump()).value(); }

 private:
  std::filesystem::path path_;
};

Json fixture() { return Json::read_file(SOTTO_VECTORS "/fixture/tokenizer.json").value(); }

bool refused_with(const Json& tokenizer, const std::string& word) {
  const Folder folder(tokenizer);
  const auto spec = tokenizer_spec_from_folder(folder.path());
  const std::string message = spec.ok() ? "" : spec.error().message;
  CAPTURE(message, word);
  CHECK(message.find("tokenizer.json") != std::string::npos);
  CHECK(message.find(word) != std::string::npos);
  return !message.empty();
}

Json with(const std::string& name, Json value) {
  Json json = fixture();
  json.set(name, std::move(value));
  return json;
}

Json with_model(const std::string& name, Json value) {
  Json model = fixture().at("model");
  model.set(name, std::move(value));
  return with("model", std::move(model));
}

}  // namespace

TEST_CASE("a folder's files become a specification", "[tokenizer_spec]") {
  const auto spec = tokenizer_spec_from_folder(SOTTO_VECTORS "/fixture").value();
  CHECK(spec.tokens.size() == 448);
  CHECK(spec.merges.size() == 189);
  CHECK(spec.pre_tokenizers == std::vector<PreTokenizer>{Digits{true}, ByteLevel{false, true}});
  CHECK(spec.byte_level());
  REQUIRE(spec.added.size() == 3);
  for (std::int32_t id = 0; id < 3; ++id) CHECK(spec.added[static_cast<std::size_t>(id)] == AddedToken{id});
  CHECK(spec.bos == 1);
  CHECK(spec.eos == 2);
  CHECK(spec.chat_template.find("You code.") != std::string::npos);
}

TEST_CASE("settings that would change the ids are refused by their name", "[tokenizer_spec]") {
  const auto step = [](const char* type) { return Json::object({{"type", type}}); };
  CHECK(refused_with(with("normalizer", step("Precompiled")), "'normalizer' is {\"type\":\"Precompiled\"}"));
  CHECK(refused_with(with("normalizer", Json::object({{"type", "NFC"}, {"twist", 1}})), "twist"));
  CHECK(refused_with(
      with("normalizer", Json::object({{"type", "Sequence"}, {"normalizers", Json::array({step("NFC"), step("Strip")})}})),
      "'normalizer[1]' is {\"type\":\"Strip\"}"));
  CHECK(refused_with(with("post_processor", step("TemplateProcessing")), "'post_processor'"));
  CHECK(refused_with(with("post_processor", step("RobertaProcessing")), "'post_processor'"));
  CHECK(refused_with(with("decoder", step("WordPiece")), "'decoder'"));
  CHECK(refused_with(with("decoder", Json()), "'decoder'"));
  CHECK(refused_with(with("pre_tokenizer", step("Whitespace")), "'pre_tokenizer'"));
  CHECK(refused_with(
      with("pre_tokenizer",
           Json::object({{"type", "Sequence"}, {"pretokenizers", Json::array({step("ByteLevel"), step("Digits")})}})),
      "'pre_tokenizer[1]'"));
  CHECK(refused_with(with_model("type", "Unigram"), "'model.type'"));
  CHECK(refused_with(with_model("dropout", 0.1), "'model.dropout'"));
  CHECK(refused_with(with_model("byte_fallback", "yes"), "'model.byte_fallback'"));
  CHECK(refused_with(with_model("twist", true), "'model.twist'"));
  CHECK(refused_with(with_model("continuing_subword_prefix", "##"), "'model.continuing_subword_prefix'"));
  CHECK(refused_with(with_model("end_of_word_suffix", "</w>"), "'model.end_of_word_suffix'"));
}

TEST_CASE("an added token's flags are read, others than true and false refused", "[tokenizer_spec]") {
  Json token = fixture().at("added_tokens").at(1);
  for (const char* name : {"single_word", "lstrip", "rstrip", "normalized"}) token.set(name, true);
  token.set("special", false);
  const Folder folder(with("added_tokens", Json::array({token})));
  const auto spec = tokenizer_spec_from_folder(folder.path()).value();
  REQUIRE(spec.added.size() == 1);
  CHECK(spec.added[0] == AddedToken{1, false, true, true, true, true, true});
  token.set("lstrip", "left");
  CHECK(refused_with(with("added_tokens", Json::array({token})), "'added token '<|im_start|>'.lstrip'"));
}

TEST_CASE("a vocabulary with a taken id or a wrong id is refused", "[tokenizer_spec]") {
  CHECK(refused_with(with_model("vocab", Json::object({{"a", 3}, {"b", 3}})), "'b' has the id 3"));
  CHECK(refused_with(with_model("vocab", Json::object({{"a", -1}})), "'a' has no usable id"));
  CHECK(refused_with(with_model("merges", Json::array({"ab"})), "merge 0"));
}

TEST_CASE("the unknown token must be in the vocabulary unless every byte has a token", "[tokenizer_spec]") {
  const Folder named(with_model("unk_token", "<|endoftext|>"));
  CHECK(tokenizer_spec_from_folder(named.path()).value().unknown == 0);
  const Folder complete(with_model("unk_token", "<none>"));
  CHECK_FALSE(tokenizer_spec_from_folder(complete.path()).value().unknown);
  Json json = with_model("unk_token", "<none>");
  Json vocabulary = Json::object();
  const Json given = fixture();
  for (const auto& [text, id] : given.at("model").at("vocab").members()) vocabulary.set(text == "!" ? "!!!!" : text, id);
  Json model = json.at("model");
  model.set("vocab", vocabulary);
  CHECK(refused_with(with("model", model), "'model.unk_token'"));
}

TEST_CASE("what stands around a text comes from the post-processor, whatever the configuration's flags say",
          "[tokenizer_spec]") {
  const auto item = [](const char* kind, const char* id) {
    return Json::object({{kind, Json::object({{"id", id}, {"type_id", 0}})}});
  };
  const auto token = [](const char* text, int id) {
    return Json::object({{"id", text}, {"ids", Json::array({id})}, {"tokens", Json::array({text})}});
  };
  const Json processor = Json::object(
      {{"type", "TemplateProcessing"},
       {"single",
        Json::array({item("SpecialToken", "<|im_start|>"), item("Sequence", "A"), item("SpecialToken", "<|im_end|>")})},
       {"pair", Json::array()},
       {"special_tokens",
        Json::object({{"<|im_start|>", token("<|im_start|>", 1)}, {"<|im_end|>", token("<|im_end|>", 2)}})}});
  const Folder folder(with("post_processor", processor));
  const auto spec = tokenizer_spec_from_folder(folder.path()).value();
  CHECK(spec.before == std::vector<std::int32_t>{1});
  CHECK(spec.after == std::vector<std::int32_t>{2});
  // transformers 5.24 drops both flags where there is a tokenizer.json.
  folder.put("tokenizer_config.json",
             Json::object({{"bos_token", "<|endoftext|>"}, {"add_bos_token", false}, {"add_eos_token", true}}));
  const auto same = tokenizer_spec_from_folder(folder.path()).value();
  CHECK(same.bos == 0);
  CHECK(same.before == std::vector<std::int32_t>{1});
  CHECK(same.after == std::vector<std::int32_t>{2});
}

// Ids from transformers 5.24.0 (PreTrainedTokenizerFast.from_pretrained) and tokenizers 0.23.3.
TEST_CASE("tokens that only the files beside tokenizer.json name get the reference's ids", "[tokenizer_spec]") {
  using Ids = std::vector<std::int32_t>;
  const Json named = Json::array({"<new>"}), map = Json::object({{"x_token", "<new>"}});
  const Json numbered = Json::object({{"448", Json::object({{"content", "<new>"}, {"special", true}})}});
  const Folder folder(fixture());
  const auto ids = [&](const Json& config, const std::string& file = "", const Json& json = Json()) {
    folder.put("tokenizer_config.json", config);
    if (!file.empty()) folder.put(file, json);
    const auto tokenizer = Tokenizer::make(tokenizer_spec_from_folder(folder.path()).value()).value();
    if (!file.empty()) std::filesystem::remove(folder.path(file));
    return tokenizer.encode("a<new>b <p> the", ControlTokens::kRecognise);
  };
  const Ids plain = {67, 30, 80, 71, 89, 32, 68, 223, 30, 82, 32, 346}, cut = {67, 448, 68, 223, 30, 82, 32, 346};
  CHECK(ids(Json::object()) == plain);
  CHECK(ids(Json::object({{"extra_special_tokens", named}})) == cut);
  CHECK(ids(Json::object({{"extra_special_tokens", map}})) == cut);
  CHECK(ids(Json::object({{"additional_special_tokens", named}})) == cut);
  CHECK(ids(Json::object({{"pad_token", "<new>"}})) == cut);
  CHECK(ids(Json::object({{"image_token", "<new>"}})) == cut);
  CHECK(ids(Json::object({{"added_tokens_decoder", numbered}})) == cut);
  CHECK(ids(Json::object(), "added_tokens.json", Json::object({{"<new>", 448}})) == cut);
  CHECK(ids(Json::object(), "special_tokens_map.json", Json::object({{"pad_token", "<new>"}})) == cut);
  CHECK(ids(Json::object({{"added_tokens_decoder", Json::object()}}), "special_tokens_map.json",
            Json::object({{"pad_token", "<new>"}})) == plain);
  CHECK(ids(Json::object({{"pad_token", "the"}})) == Ids{67, 30, 80, 71, 89, 32, 68, 223, 30, 82, 32, 223, 448});
}

TEST_CASE("a token to which two files give different ids is refused by name", "[tokenizer_spec]") {
  const Folder folder(fixture());
  const auto refusal = [&](const std::string& file, const Json& json) {
    folder.put(file, json);
    const auto spec = tokenizer_spec_from_folder(folder.path());
    std::filesystem::remove(folder.path(file));
    REQUIRE_FALSE(spec.ok());
    return spec.error().message;
  };
  const auto numbered = [](const char* id, const char* text) {
    return Json::object({{"added_tokens_decoder", Json::object({{id, Json::object({{"content", text}})}})}});
  };
  CHECK(refusal("tokenizer_config.json", numbered("453", "<new>")).find("'<new>' the id 453") != std::string::npos);
  CHECK(refusal("tokenizer_config.json", numbered("5", "<|im_end|>")).find("'<|im_end|>' the id 5") != std::string::npos);
  CHECK(refusal("tokenizer_config.json", numbered("x", "<new>")).find("added_tokens_decoder.x") != std::string::npos);
  CHECK(refusal("added_tokens.json", Json::object({{"<new>", 450}})).find("added_tokens.json") != std::string::npos);
  CHECK(refusal("tokenizer_config.json", Json::object({{"split_special_tokens", true}})).find("split_special_tokens") !=
        std::string::npos);
  CHECK(refusal("tokenizer_config.json", Json::object({{"extra_special_tokens", 7}})).find("extra_special_tokens") !=
        std::string::npos);
}

TEST_CASE("ids of added tokens that leave a hole are refused, because the library gives others", "[tokenizer_spec]") {
  Json added = fixture().at("added_tokens");
  Json token = added.at(0);
  token.set("content", "<hole>").set("id", 451);  // tokenizers 0.23.3 makes it 448
  CHECK(refused_with(with("added_tokens", Json(added).push(token)), "'<hole>' has the id 451"));
  token.set("id", 448);
  const Folder folder(with("added_tokens", added.push(token)));
  CHECK(tokenizer_spec_from_folder(folder.path()).value().tokens.at(448) == "<hole>");
}

TEST_CASE("truncation and padding left in tokenizer.json change no ids, as in the reference", "[tokenizer_spec]") {
  Json json = fixture();
  json.set("truncation", Json::object({{"max_length", 2}, {"direction", "Right"}, {"stride", 0}}));
  json.set("padding", Json::object({{"strategy", Json::object({{"Fixed", 20}})}, {"pad_id", 0}}));
  const Folder folder(json);
  const auto tokenizer = Tokenizer::make(tokenizer_spec_from_folder(folder.path()).value()).value();
  CHECK(tokenizer.encode("a b the", ControlTokens::kRecognise, Ends::kAsModel).size() > 2);
  CHECK(tokenizer.encode("a b the", ControlTokens::kRecognise, Ends::kAsModel).size() < 20);
}

TEST_CASE("a token's flags in added_tokens_decoder count more than those in tokenizer.json", "[tokenizer_spec]") {
  const Folder folder(fixture());
  const Json end = Json::object({{"content", "<|im_end|>"}, {"special", true}, {"lstrip", true}});
  folder.put("tokenizer_config.json", Json::object({{"added_tokens_decoder", Json::object({{"2", end}})}}));
  CHECK(tokenizer_spec_from_folder(folder.path()).value().added.at(2).lstrip);
}

TEST_CASE("merges as texts, a named template and a template file are read too", "[tokenizer_spec]") {
  Json merges = Json::array();
  const Json given = fixture();
  for (const auto& pair : given.at("model").at("merges").items())
    merges.push(pair.at(0).as_string() + " " + pair.at(1).as_string());
  const Folder folder(with_model("merges", merges));
  CHECK(tokenizer_spec_from_folder(folder.path()).value().merges ==
        tokenizer_spec_from_folder(SOTTO_VECTORS "/fixture").value().merges);
  const auto config =
      Json::object({{"eos_token", Json::object({{"content", "<|im_end|>"}})},
                    {"chat_template", Json::array({Json::object({{"name", "default"}, {"template", "T"}})})}});
  write_file_atomically(folder.path("tokenizer_config.json"), config.dump()).value();
  const auto spec = tokenizer_spec_from_folder(folder.path()).value();
  CHECK(spec.eos == 2);
  CHECK(spec.chat_template == "T");
  write_file_atomically(folder.path("chat_template.jinja"), std::string_view("from a file")).value();
  CHECK(tokenizer_spec_from_folder(folder.path()).value().chat_template == "from a file");
}

TEST_CASE("a GGUF file without a tokenizer and a path without a model are refused", "[tokenizer_spec]") {
  const auto none = load_tokenizer_spec(SOTTO_VECTORS "/gguf/quant_types.gguf");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().message.find("tokenizer.ggml.model") != std::string::npos);
  CHECK_FALSE(load_tokenizer_spec(SOTTO_VECTORS "/no-such-model").ok());
  CHECK_FALSE(load_tokenizer_spec(SOTTO_VECTORS "/gguf").ok());
}

}  // namespace sotto::data
