#include "data/tokenizer/tokenizer.h"

#include "base/json.h"
#include "data/tokenizer/byte_level.h"
#include "tests/support/catch.h"

namespace sotto::data {
namespace {

std::vector<std::int32_t> ids_of(const Json& list) {
  std::vector<std::int32_t> out;
  for (const auto& item : list.items()) out.push_back(static_cast<std::int32_t>(item.as_int()));
  return out;
}

const Tokenizer& smollm2() {
  static const Tokenizer tokenizer =
      Tokenizer::make(load_tokenizer_spec(SOTTO_SOURCE "/.deps/model/SmolLM2-135M-Instruct.Q4_1.gguf").value()).value();
  return tokenizer;
}

void add_control(TokenizerSpec& spec, const std::string& text) {
  AddedToken token;
  token.id = static_cast<std::int32_t>(spec.tokens.size());
  spec.added.push_back(token);
  spec.tokens.push_back(text);
}

// Every byte a token, then what is given; "<s>" is a control token.
TokenizerSpec small_spec(const std::vector<std::pair<std::string, std::string>>& merges) {
  TokenizerSpec spec;
  for (const auto& character : byte_level_characters()) spec.tokens.push_back(character);
  for (const auto& [left, right] : merges) spec.tokens.push_back(left + right);
  add_control(spec, "<s>");
  spec.merges = merges;
  spec.pre_tokenizers = {ByteLevel{}};
  spec.decoders = {ByteLevel{}};
  return spec;
}

}  // namespace

TEST_CASE("SmolLM2's token ids equal the reference's on every text, control tokens recognised or spelled out",
          "[tokenizer]") {
  const Json vectors = Json::read_file(SOTTO_VECTORS "/tokenizer/smollm2.json").value();
  CHECK(smollm2().size() == static_cast<std::size_t>(vectors.at("vocab_size").as_int()));
  std::size_t cases = 0;
  for (const auto& test : vectors.at("cases").items()) {
    const std::string text = test.at("text").as_string();
    CAPTURE(text);
    const auto ids = ids_of(test.at("ids"));
    CHECK(smollm2().encode(text, ControlTokens::kRecognise) == ids);
    const Json* plain = test.find("ids_special_as_text");
    CHECK(smollm2().encode(text, ControlTokens::kAsPlainText) == (plain ? ids_of(*plain) : ids));
    const Json* decoded = test.find("decoded");
    const std::string whole = decoded ? decoded->as_string() : text;
    CHECK(smollm2().decode(ids).value() == whole);
    const Json* skipped = test.find("decoded_skip_special");
    CHECK(smollm2().decode(ids, DecodeControl::kSkip).value() == (skipped ? skipped->as_string() : whole));
    ++cases;
  }
  CHECK(cases == 150);
}

TEST_CASE("ids that are no text decode as the reference decodes them", "[tokenizer]") {
  const Json vectors = Json::read_file(SOTTO_VECTORS "/tokenizer/smollm2.json").value();
  for (const auto& test : vectors.at("decode_cases").items())
    CHECK(smollm2().decode(ids_of(test.at("ids"))).value() == test.at("text").as_string());
  CHECK(vectors.at("decode_cases").items().size() == 40);
}

TEST_CASE("the vocabulary's control tokens are the model's", "[tokenizer]") {
  const Json vectors = Json::read_file(SOTTO_VECTORS "/tokenizer/smollm2.json").value();
  for (const auto& [text, id] : vectors.at("special").members()) {
    CHECK(smollm2().control_id(text) == static_cast<std::int32_t>(id.as_int()));
    CHECK(smollm2().is_control(static_cast<std::int32_t>(id.as_int())));
  }
  CHECK_FALSE(smollm2().is_control(17));
  CHECK_FALSE(smollm2().is_control(-1));
  CHECK_FALSE(smollm2().control_id("<|no_such_token|>"));
  CHECK(smollm2().spec().eos == 2);
  CHECK(smollm2().spec().before.empty());
}

TEST_CASE("a Hugging Face folder's tokenizer gives the reference's ids", "[tokenizer]") {
  const auto tokenizer = Tokenizer::make(load_tokenizer_spec(SOTTO_VECTORS "/fixture").value()).value();
  const Json expected = Json::read_file(SOTTO_VECTORS "/fixture/expected.json").value();
  REQUIRE(!expected.at("tokenizer_cases").items().empty());
  for (const auto& test : expected.at("tokenizer_cases").items()) {
    CAPTURE(test.at("text").as_string());
    CHECK(tokenizer.encode(test.at("text").as_string(), ControlTokens::kRecognise) == ids_of(test.at("ids")));
  }
  CHECK(tokenizer.spec().bos == 1);
  CHECK(tokenizer.spec().eos == 2);
}

TEST_CASE("text that is not UTF-8 is read with replacement characters", "[tokenizer]") {
  CHECK(smollm2().encode("a\xff"
                         "b",
                         ControlTokens::kAsPlainText) == smollm2().encode("a\xef\xbf\xbd"
                                                                          "b",
                                                                          ControlTokens::kAsPlainText));
  const std::string all_bytes = [] {
    std::string out;
    for (int round = 0; round < 4; ++round)
      for (int byte = 255; byte >= 0; --byte) out += static_cast<char>(byte);
    return out;
  }();
  CHECK_FALSE(smollm2().encode(all_bytes, ControlTokens::kRecognise).empty());
}

TEST_CASE("a byte without a token vanishes and its neighbours merge", "[tokenizer]") {
  auto spec = small_spec({{"!", "?"}});
  spec.tokens[4] = "unused";
  const auto tokenizer = Tokenizer::make(std::move(spec)).value();
  CHECK(tokenizer.encode("\x04", ControlTokens::kAsPlainText).empty());
  CHECK(tokenizer.encode("!\x04?", ControlTokens::kAsPlainText) == tokenizer.encode("!?", ControlTokens::kAsPlainText));
  CHECK(tokenizer.encode("!?", ControlTokens::kAsPlainText).size() == 1);
}

TEST_CASE("the lowest rank is merged first, the leftmost on a tie, in words of any length", "[tokenizer]") {
  const auto tokenizer = Tokenizer::make(small_spec({{"a", "a"}, {"aa", "aa"}, {"b", "c"}, {"a", "b"}})).value();
  const auto text = [&](const std::string& word) {
    std::string out;
    for (const auto id : tokenizer.encode(word, ControlTokens::kAsPlainText))
      out += tokenizer.spec().tokens[static_cast<std::size_t>(id)] + "|";
    return out;
  };
  CHECK(text("aaa") == "aa|a|");
  CHECK(text("aaaaaaa") == "aaaa|aa|a|");
  CHECK(text("abc") == "a|bc|");
  CHECK(text("ab") == "ab|");
  const auto ids = tokenizer.encode(std::string(200'001, 'a'), ControlTokens::kAsPlainText);
  CHECK(ids.size() == 50'001);
}

TEST_CASE("of overlapping control tokens the leftmost, then the longest counts", "[tokenizer]") {
  auto spec = small_spec({});
  add_control(spec, "<s><t>");
  const auto tokenizer = Tokenizer::make(std::move(spec)).value();
  const auto s = tokenizer.control_id("<s>").value();
  const auto st = tokenizer.control_id("<s><t>").value();
  CHECK(tokenizer.encode("<s><t><s>", ControlTokens::kRecognise) == std::vector{st, s});
  CHECK(tokenizer.encode("<s><", ControlTokens::kRecognise) == std::vector{s, std::int32_t{'<'}});
  CHECK(tokenizer.encode("<s>", ControlTokens::kAsPlainText).size() == 3);
}

TEST_CASE("an id outside the vocabulary is refused by its number", "[tokenizer]") {
  const std::int32_t outside = 49152;
  const auto result = smollm2().decode({&outside, 1});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message.find("49152") != std::string::npos);
  const std::int32_t negative = -1;
  CHECK_FALSE(smollm2().decode({&negative, 1}).ok());
}

TEST_CASE("a specification that contradicts itself is refused", "[tokenizer]") {
  const auto refused = [](TokenizerSpec spec, const std::string& word) {
    const auto result = Tokenizer::make(std::move(spec));
    return !result.ok() && result.error().message.find(word) != std::string::npos;
  };
  auto twice = small_spec({});
  twice.tokens.push_back("a");
  CHECK(refused(twice, "twice"));
  auto unknown = small_spec({{"a", "b"}});
  unknown.merges.push_back({"xy", "z"});
  CHECK(refused(unknown, "merge 1"));
  auto spelling = small_spec({{"<", "s"}, {"<s", ">"}});
  spelling.tokens.erase(spelling.tokens.end() - 2);  // merging leads to the control token
  spelling.added[0].id = static_cast<std::int32_t>(spelling.tokens.size()) - 1;
  CHECK(refused(spelling, "or a control token"));
  auto repeated = small_spec({{"a", "b"}});
  repeated.merges.push_back({"a", "b"});
  CHECK(refused(repeated, "twice"));
  auto control = small_spec({});
  control.added[0].id = 1000;
  CHECK(refused(control, "1000"));
  auto eos = small_spec({});
  eos.eos = 5000;
  CHECK(refused(eos, "5000"));
  auto bos = small_spec({});
  bos.before = {-1};
  CHECK(refused(bos, "BOS"));
  CHECK(refused(TokenizerSpec{}, "0 tokens"));
}

}  // namespace sotto::data
