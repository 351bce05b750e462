// Small tokenizers in the configuration of each model family, against the reference's ids and texts
// (tests/vectors/tokenizer, make_families.py).
#include "base/json.h"
#include "data/files/gguf_writer.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/tokenizer_formats.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::data {
namespace {

std::vector<std::int32_t> ids_of(const Json& list) {
  std::vector<std::int32_t> out;
  for (const auto& item : list.items()) out.push_back(static_cast<std::int32_t>(item.as_int()));
  return out;
}

const Json& vectors() {
  static const Json json = Json::read_file(SOTTO_VECTORS "/tokenizer/families.json").value();
  return json;
}

Tokenizer load(const std::string& name) {
  auto spec = load_tokenizer_spec(SOTTO_VECTORS "/tokenizer/" + name);
  INFO((spec.ok() ? name : spec.error().message));
  REQUIRE(spec.ok());
  return Tokenizer::make(std::move(*spec)).value();
}

std::string text_or(const Json& test, const char* name, const std::string& otherwise) {
  const Json* value = test.find(name);
  return value == nullptr ? otherwise : value->as_string();
}

void check_family(const std::string& name, const Tokenizer& tokenizer) {
  const Json& family = vectors().at("families").at(name);
  const auto& texts = vectors().at("texts").items();
  const auto& cases = family.at("cases").items();
  REQUIRE(cases.size() == texts.size());
  REQUIRE(cases.size() > 250);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string text = texts[i].as_string();
    const auto ids = ids_of(cases[i].at("ids"));
    CAPTURE(name, i, text);
    CHECK(tokenizer.encode(text, ControlTokens::kRecognise) == ids);
    const Json* plain = cases[i].find("plain");
    CHECK(tokenizer.encode(text, ControlTokens::kAsPlainText) == (plain ? ids_of(*plain) : ids));
    auto whole = cases[i].find("before") ? ids_of(cases[i].at("before")) : std::vector<std::int32_t>();
    whole.insert(whole.end(), ids.begin(), ids.end());
    CHECK(tokenizer.encode(text, ControlTokens::kRecognise, Ends::kAsModel) == whole);
    CHECK(tokenizer.decode(ids).value() == text_or(cases[i], "decoded", text));
    CHECK(tokenizer.decode(ids, DecodeControl::kSkip).value() == text_or(cases[i], "decoded_skip_special", text));
  }
  for (const auto& test : family.at("decode").items())
    CHECK(tokenizer.decode(ids_of(test.at("ids"))).value() == test.at("text").as_string());
}

}  // namespace

TEST_CASE("every family's tokenizer gives the reference's ids and texts on every string", "[tokenizer]") {
  std::size_t families = 0;
  for (const auto& [name, family] : vectors().at("families").members()) {
    check_family(name, load(name));
    ++families;
  }
  CHECK(families == 14);
}

TEST_CASE("a second encoding, which finds its words in the cache, gives the same ids", "[tokenizer]") {
  const auto tokenizer = load("llama2");
  check_family("llama2", tokenizer);
  check_family("llama2", tokenizer);
}

TEST_CASE("byte-level vocabularies read from GGUF files give the ids of the family's tokenizer.json", "[tokenizer]") {
  for (const std::string name : {"llama3", "qwen2"}) {
    const auto from_gguf = load(name + ".gguf");
    check_family(name, from_gguf);
    CHECK(from_gguf.spec().pre_tokenizers == load(name).spec().pre_tokenizers);
  }
}

TEST_CASE("tokenizers exported to GGUF files and read back give the same ids and texts", "[tokenizer]") {
  const TemporaryFolder scratch;
  for (const std::string name : {"llama2", "mistral", "gemma2", "gpt2", "llama3", "qwen2", "starcoder"}) {
    INFO(name);
    const auto folder = std::string(SOTTO_VECTORS "/tokenizer/") + name;
    const auto size = static_cast<std::uint32_t>(load(name).spec().tokens.size() + 3);  // a model's vocabulary may be larger
    GgufMetadata metadata;
    const auto put = tokenizer_to_gguf(folder, size, metadata.text("general.architecture", "llama"));
    INFO((put.ok() ? "" : put.error().message));
    REQUIRE(put.ok());
    const std::string path = scratch.file(name + ".gguf");
    auto file = GgufWriter::create(path, metadata, {}).value();
    REQUIRE(file.commit().ok());
    auto spec = load_tokenizer_spec(path);
    INFO((spec.ok() ? "" : spec.error().message));
    REQUIRE(spec.ok());
    CHECK(spec->tokens.size() == size);
    check_family(name, Tokenizer::make(std::move(*spec)).value());
  }
}

TEST_CASE("tokenizers that a GGUF file cannot say are refused by the setting's name", "[tokenizer]") {
  const auto refusal = [](const std::string& name) {
    GgufMetadata metadata;
    const auto put = tokenizer_to_gguf(std::string(SOTTO_VECTORS "/tokenizer/") + name, 100000, metadata);
    return put.ok() ? "it was written" : put.error().message;
  };
  CHECK(refusal("phi3").find("'</s>'.rstrip") != std::string::npos);
  CHECK(refusal("flags").find("'tool'.single_word") != std::string::npos);
  CHECK(refusal("metaspace").find("normalizer and pre_tokenizer") != std::string::npos);
  CHECK(refusal("unknown_bytes").find("unk_token") != std::string::npos);
  CHECK(refusal("prefix_space").find("pre_tokenizer") != std::string::npos);
}

TEST_CASE("SentencePiece scores read from a GGUF file give SentencePiece's ids and texts", "[tokenizer]") {
  const auto tokenizer = load("sentencepiece.gguf");
  const Json& reference = vectors().at("sentencepiece");
  const auto& texts = reference.at("texts").items();
  REQUIRE(texts.size() > 200);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i].as_string();
    const auto ids = ids_of(reference.at("ids").at(i));
    CAPTURE(i, text);
    CHECK(tokenizer.encode(text, ControlTokens::kAsPlainText) == ids);
    CHECK(tokenizer.decode(ids).value() == reference.at("decoded").at(i).as_string());
  }
  const auto with_ends = tokenizer.encode("a", ControlTokens::kAsPlainText, Ends::kAsModel);
  CHECK(with_ends.front() == 1);
}

TEST_CASE("a text that spells control tokens never becomes one when it is plain", "[tokenizer]") {
  for (const auto& [name, family] : vectors().at("families").members()) {
    const auto tokenizer = load(name);
    for (const auto& text : vectors().at("texts").items())
      for (const auto id : tokenizer.encode(text.as_string(), ControlTokens::kAsPlainText)) {
        const bool unknown = tokenizer.spec().unknown == id;
        CHECK((unknown || !tokenizer.is_control(id)));
      }
  }
}

}  // namespace sotto::data
