#include "data/files/gguf_writer.h"

#include <bit>

#include "base/check.h"

namespace sotto::data {
namespace {

// Value types (ggml's gguf.h).
constexpr std::uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kText = 8, kArray = 9;
constexpr std::uint32_t kMagic = 0x46554747, kVersion = 3;  // "GGUF"

void put_text(ByteWriter& out, std::string_view text) { out.u64(text.size()).raw(as_bytes(text)); }

std::uint64_t padded(std::uint64_t size) {
  return (size + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment;
}

}  // namespace

ByteWriter& GgufMetadata::start(std::string_view key, std::uint32_t type) {
  ++count_;
  put_text(out_, key);
  return out_.u32(type);
}

ByteWriter& GgufMetadata::array(std::string_view key, std::uint32_t type, std::size_t count) {
  return start(key, kArray).u32(type).u64(count);
}

GgufMetadata& GgufMetadata::text(std::string_view key, std::string_view value) {
  put_text(start(key, kText), value);
  return *this;
}

GgufMetadata& GgufMetadata::u32(std::string_view key, std::uint32_t value) {
  start(key, kU32).u32(value);
  return *this;
}

GgufMetadata& GgufMetadata::f32(std::string_view key, float value) {
  start(key, kF32).u32(std::bit_cast<std::uint32_t>(value));
  return *this;
}

GgufMetadata& GgufMetadata::boolean(std::string_view key, bool value) {
  start(key, kBool).u8(value ? 1 : 0);
  return *this;
}

GgufMetadata& GgufMetadata::texts(std::string_view key, std::span<const std::string> values) {
  auto& out = array(key, kText, values.size());
  for (const auto& value : values) put_text(out, value);
  return *this;
}

GgufMetadata& GgufMetadata::i32s(std::string_view key, std::span<const std::int32_t> values) {
  auto& out = array(key, kI32, values.size());
  for (const auto value : values) out.u32(static_cast<std::uint32_t>(value));
  return *this;
}

GgufMetadata& GgufMetadata::f32s(std::string_view key, std::span<const float> values) {
  auto& out = array(key, kF32, values.size());
  for (const auto value : values) out.u32(std::bit_cast<std::uint32_t>(value));
  return *this;
}

GgufMetadata& GgufMetadata::raw(std::string_view key, ByteSpan type_and_value) {
  ++count_;
  put_text(out_, key);
  out_.raw(type_and_value);
  return *this;
}

Result<GgufWriter> GgufWriter::create(const std::string& path, const GgufMetadata& metadata,
                                      std::vector<GgufShape> tensors) {
  ByteWriter header;
  header.u32(kMagic).u32(kVersion).u64(tensors.size()).u64(metadata.count()).raw(metadata.bytes());
  std::uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    SOTTO_CHECK(!tensor.shape.empty() && tensor.shape.size() <= 4);
    put_text(header, tensor.name);
    header.u32(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) header.u64(*dim);
    header.u32(tensor.type).u64(offset);
    offset = padded(offset + tensor.bytes);
  }
  SOTTO_TRY(auto file, NewFile::create(path, FileMode::kPublic));
  GgufWriter writer(std::move(file), std::move(tensors));
  SOTTO_TRY_VOID(writer.file_.append(header.view()));
  SOTTO_TRY_VOID(writer.pad());
  return writer;
}

Result<void> GgufWriter::pad() {
  const Bytes zeros(padded(file_.size()) - file_.size());
  return file_.append(zeros);
}

Result<void> GgufWriter::add(ByteSpan bytes) {
  SOTTO_CHECK(next_ < tensors_.size() && bytes.size() == tensors_[next_].bytes);
  ++next_;
  SOTTO_TRY_VOID(file_.append(bytes));
  return pad();
}

Result<void> GgufWriter::commit() {
  SOTTO_CHECK(next_ == tensors_.size());
  return file_.commit();
}

}  // namespace sotto::data
