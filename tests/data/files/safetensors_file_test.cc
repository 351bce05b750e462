#include "data/files/safetensors_file.h"

#include <algorithm>

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

Bytes with_header(const std::string& header, std::size_t data_bytes) {
  Bytes out = ByteWriter().u64(header.size()).raw(as_bytes(header)).take();
  out.resize(out.size() + data_bytes);
  return out;
}

std::string refusal(Bytes bytes) {
  const auto file = SafetensorsFile::parse(FileBytes::hold(std::move(bytes)), "test.safetensors");
  return file.ok() ? "" : file.error().message;
}

bool refused_with(Bytes bytes, const std::string& word) {
  const std::string message = refusal(std::move(bytes));
  CAPTURE(message);
  CHECK(message.find("test.safetensors") != std::string::npos);
  CHECK(message.find(word) != std::string::npos);
  return !message.empty();
}

}  // namespace

TEST_CASE("a file written by the reference implementation is read", "[safetensors]") {
  const auto file = SafetensorsFile::open(SOTTO_VECTORS "/fixture/model.safetensors").value();
  const auto* embedding = file.find_tensor("model.embed_tokens.weight");
  REQUIRE(embedding);
  CHECK(embedding->type == SafetensorsType::kF32);
  CHECK(embedding->shape == std::vector<std::uint64_t>{448, 64});
  CHECK(file.bytes(*embedding).size() == 448 * 64 * 4);
  CHECK_FALSE(file.find_tensor("lm_head.weight"));
}

TEST_CASE("what is written is read back", "[safetensors]") {
  const Bytes a = {1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes b = {9, 10};
  const std::vector<SafetensorsTensor> tensors = {{"a", SafetensorsType::kF32, {2, 1}, a},
                                                  {"b", SafetensorsType::kBF16, {}, b}};
  Bytes bytes = encode_safetensors(tensors, {{"format", "pt"}});
  CHECK(ByteReader(bytes).u64() % 8 == 0);
  const auto file = SafetensorsFile::parse(FileBytes::hold(std::move(bytes)), "test.safetensors").value();
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.tensors().size() == 2);
  CHECK(std::ranges::equal(file.bytes(*file.find_tensor("a")), a));
  CHECK(std::ranges::equal(file.bytes(*file.find_tensor("b")), b));
  CHECK(file.find_tensor("b")->elements == 1);
  CHECK_THROWS_AS(encode_safetensors(std::vector<SafetensorsTensor>{{"a", SafetensorsType::kF32, {3}, a}}), Failure);
}

TEST_CASE("hostile headers are refused by name", "[safetensors]") {
  const std::string a4 = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  CHECK(refusal(with_header(a4, 4)).empty());
  CHECK(refused_with({}, "0 bytes"));
  CHECK(refused_with(ByteWriter().u64(~std::uint64_t{0}).u64(0).take(), "header"));
  CHECK(refused_with(with_header("[]", 0), "'{'"));
  CHECK(refused_with(with_header("{nonsense", 0), "JSON"));
  CHECK(refused_with(with_header(a4, 3), "truncated"));
  CHECK(refused_with(with_header(a4, 5), "belongs to nothing"));
  CHECK(refused_with(with_header(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4), "F33"));
  CHECK(refused_with(with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4), "'a'"));
  CHECK(refused_with(with_header(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), "'shape'"));
  CHECK(refused_with(with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4), "data_offsets"));
  CHECK(refused_with(with_header(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "data_offsets"));
  CHECK(
      refused_with(with_header(R"({"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,4]}})", 4), "'a'"));
  CHECK(refused_with(
      with_header(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6),
      "overlap"));
  CHECK(refused_with(
      with_header(
          R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}})", 6),
      "gap"));
  CHECK(refused_with(with_header(R"({"__metadata__":{"a":1}})", 0), "__metadata__"));
  CHECK(refused_with(with_header(R"({"a":4})", 0), "'a'"));
}

TEST_CASE("an empty tensor between others is no overlap", "[safetensors]") {
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[2,2]},)"
      R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})";
  CHECK(refusal(with_header(header, 4)).empty());
}

TEST_CASE("a safetensors file cut at any byte is refused", "[safetensors]") {
  const Bytes whole = with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).empty());
}

}  // namespace sotto::data
