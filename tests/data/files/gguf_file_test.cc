#include "data/files/gguf_file.h"

#include <cctype>

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

// Writes GGUF version 3 by hand, so that each field can be wrong.
struct Tensor {
  std::string name;
  std::vector<std::uint64_t> dims;
  std::uint32_t type;
  std::uint64_t offset;
};

void put_text(ByteWriter& out, const std::string& text) { out.u64(text.size()).raw(as_bytes(text)); }

Bytes gguf(const std::vector<Tensor>& tensors, std::size_t data_bytes, std::uint32_t alignment = 32) {
  ByteWriter out;
  out.raw(as_bytes("GGUF")).u32(3).u64(tensors.size()).u64(1);
  put_text(out, "general.alignment");
  out.u32(4).u32(alignment);
  for (const auto& tensor : tensors) {
    put_text(out, tensor.name);
    out.u32(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const auto dim : tensor.dims) out.u64(dim);
    out.u32(tensor.type).u64(tensor.offset);
  }
  Bytes bytes = out.take();
  const std::size_t step = alignment == 0 ? 32 : alignment;
  bytes.resize((bytes.size() + step - 1) / step * step + data_bytes);
  return bytes;
}

std::string refusal(Bytes bytes) {
  const auto file = GgufFile::parse(FileBytes::hold(std::move(bytes)), "test.gguf");
  return file.ok() ? "" : file.error().message;
}

bool refused_with(Bytes bytes, const std::string& word) {
  const std::string message = refusal(std::move(bytes));
  CAPTURE(message);
  CHECK(message.find("test.gguf") != std::string::npos);
  CHECK(message.find(word) != std::string::npos);
  return !message.empty();
}

}  // namespace

TEST_CASE("the directory and metadata of SmolLM2's file are read", "[gguf]") {
  const auto file = GgufFile::open(SOTTO_SOURCE "/.deps/model/SmolLM2-135M-Instruct.Q4_1.gguf").value();
  CHECK(file.version() == 3);
  CHECK(file.tensors().size() == 272);
  CHECK(file.metadata().size() == 33);
  CHECK(file.get_string("general.architecture").value() == "llama");
  CHECK(file.get_uint("llama.block_count").value() == 30);
  CHECK(file.get_double("llama.attention.layer_norm_rms_epsilon").value() == static_cast<double>(1e-5F));
  CHECK_FALSE(file.get_bool("tokenizer.ggml.add_bos_token").value());
  CHECK(file.get_strings("tokenizer.ggml.merges").value()->size() == 48900);
  const auto* embedding = file.find_tensor("token_embd.weight");
  REQUIRE(embedding);
  CHECK(std::string(embedding->type.name) == "Q8_0");
  CHECK(embedding->dims == std::vector<std::uint64_t>{576, 49152});
  CHECK(embedding->size == 576 / 32 * 34 * 49152);
  CHECK(file.bytes(*embedding).size() == embedding->size);
  CHECK_FALSE(file.find_tensor("output.weight"));
}

TEST_CASE("fourteen tensor types and all value types written by gguf-py are read", "[gguf]") {
  const auto file = GgufFile::open(SOTTO_VECTORS "/gguf/quant_types.gguf").value();
  CHECK(file.tensors().size() == 14);
  for (const auto& tensor : file.tensors()) {
    CHECK(tensor.elements == 3 * 512);
    std::string name = tensor.type.name;
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    CHECK(tensor.name.substr(0, name.size()) == name);
  }
  CHECK_FALSE(file.metadata().empty());
}

TEST_CASE("a metadata value of the wrong type or a missing one is an error that names file and key", "[gguf]") {
  const auto file = GgufFile::parse(FileBytes::hold(gguf({}, 0)), "test.gguf").value();
  CHECK(file.get_uint("general.alignment").value() == 32);
  CHECK(file.get_double("general.alignment").value() == 32.0);
  const auto wrong = file.get_string("general.alignment");
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().message == "test.gguf: metadata 'general.alignment' is not a text");
  const auto missing = file.get_bool("no.such.key");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
}

TEST_CASE("tensors are found where the directory says", "[gguf]") {
  auto bytes = gguf({{"a", {4}, 0, 0}, {"b", {32, 2}, 3, 32}}, 72);
  bytes[bytes.size() - 40] = 7;
  const auto file = GgufFile::parse(FileBytes::hold(std::move(bytes)), "test.gguf").value();
  CHECK(file.bytes(*file.find_tensor("a")).size() == 16);
  const auto b = file.bytes(*file.find_tensor("b"));
  REQUIRE(b.size() == 40);
  CHECK(b[0] == 7);
}

TEST_CASE("every hostile tensor entry is refused by its name", "[gguf]") {
  CHECK(refused_with(gguf({{"w", {4}, 0, 0}}, 15), "'w'"));                      // one byte short
  CHECK(refused_with(gguf({{"w", {4}, 0, 64}}, 32), "beyond"));                  // begins behind the end
  CHECK(refused_with(gguf({{"w", {4}, 0, ~std::uint64_t{31}}}, 32), "beyond"));  // offset + size overflows
  CHECK(refused_with(gguf({{"w", {4}, 0, 8}}, 64), "alignment"));
  CHECK(refused_with(gguf({{"v", {16}, 0, 0}, {"w", {4}, 0, 32}}, 64), "overlaps"));
  CHECK(refused_with(gguf({{"w", {4}, 0, 0}, {"w", {4}, 0, 32}}, 64), "twice"));
  CHECK(refused_with(gguf({{"w", {33}, 3, 0}}, 64), "Q4_1"));  // no whole block
  CHECK(refused_with(gguf({{"w", {4}, 5, 0}}, 64), "unknown tensor type 5"));
  CHECK(refused_with(gguf({{"w", {}, 0, 0}}, 64), "0 dimensions"));
  CHECK(refused_with(gguf({{"w", {1, 1, 1, 1, 1}, 0, 0}}, 64), "5 dimensions"));
  CHECK(refused_with(gguf({{"w", {4, 0}, 0, 0}}, 64), "dimension 1 is 0"));
  CHECK(refused_with(gguf({{"w", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, 0}}, 64), "2^64"));
  CHECK(refused_with(gguf({{"w", {std::uint64_t{1} << 63}, 0, 0}}, 64), "2^64"));
  CHECK(refused_with(gguf({{"", {4}, 0, 0}}, 64), "name of 0 bytes"));
  CHECK(refused_with(gguf({{"w", {4}, 0, 0}}, 64, 0), "alignment"));
  CHECK(refused_with(gguf({{"w", {4}, 0, 0}}, 64, 24), "alignment"));
}

TEST_CASE("a header that is not GGUF 2 or 3 is refused", "[gguf]") {
  CHECK(refused_with({}, "truncated"));
  CHECK(refused_with(Bytes{'G', 'G', 'U'}, "truncated"));
  CHECK(refused_with(Bytes(64, 'x'), "no GGUF file"));
  CHECK(refused_with(ByteWriter().raw(as_bytes("GGUF")).u32(1).u64(0).u64(0).take(), "version 1"));
  CHECK(refused_with(ByteWriter().raw(as_bytes("GGUF")).u32(4).u64(0).u64(0).take(), "version 4"));
  CHECK(refused_with(ByteWriter().raw(as_bytes("GGUF")).u32(0x03000000).u64(0).u64(0).take(), "big-endian"));
  CHECK(refused_with(ByteWriter().raw(as_bytes("GGUF")).u32(3).u64(~std::uint64_t{0}).u64(0).take(), "number of tensors"));
  CHECK(refused_with(ByteWriter().raw(as_bytes("GGUF")).u32(3).u64(0).u64(1U << 30).take(), "number of metadata"));
}

TEST_CASE("hostile metadata is refused by its key", "[gguf]") {
  const auto with = [](auto write) {
    ByteWriter out;
    out.raw(as_bytes("GGUF")).u32(3).u64(0).u64(1);
    put_text(out, "some.key");
    write(out);
    return out.raw(Bytes(16)).take();
  };
  CHECK(refused_with(with([](ByteWriter& w) { w.u32(13); }), "'some.key': unknown value type 13"));
  CHECK(refused_with(with([](ByteWriter& w) { w.u32(7).u8(2); }), "'some.key': a truth value is 2"));
  CHECK(refused_with(with([](ByteWriter& w) { w.u32(8).u64(~std::uint64_t{0}); }), "'some.key': a text of"));
  CHECK(refused_with(with([](ByteWriter& w) { w.u32(9).u32(0).u64(std::uint64_t{1} << 60); }), "'some.key': a count of"));
  CHECK(refused_with(with([](ByteWriter& w) { w.u32(9).u32(9).u32(0).u64(0); }), "'some.key': an array of arrays"));
}

TEST_CASE("a file cut at any byte is refused and never read past its end", "[gguf]") {
  const auto whole = gguf({{"a", {4}, 0, 0}, {"b", {32, 2}, 3, 32}}, 72);
  CHECK(refusal(whole).empty());
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).empty());
}

TEST_CASE("a file that is not there or is a folder is refused by its path", "[gguf]") {
  const auto missing = GgufFile::open(SOTTO_VECTORS "/gguf/none.gguf");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code == ErrorCode::kNotFound);
  CHECK(missing.error().message.find("none.gguf") != std::string::npos);
  CHECK_FALSE(GgufFile::open(SOTTO_VECTORS).ok());
}

}  // namespace sotto::data
