// Writes GGUF files, version 3, little-endian (layout: ggml's docs/gguf.md), tensor by tensor. A file appears whole or not
// at all (base/new_file.h). What gguf_file.h reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/new_file.h"

namespace sotto::data {

// Key-value pairs in the order in which they are put; keys are unique. Widths matter to readers: llama.cpp refuses an
// integer of another width than it expects.
class GgufMetadata {
 public:
  GgufMetadata& text(std::string_view key, std::string_view value);
  GgufMetadata& u32(std::string_view key, std::uint32_t value);
  GgufMetadata& f32(std::string_view key, float value);
  GgufMetadata& boolean(std::string_view key, bool value);
  GgufMetadata& texts(std::string_view key, std::span<const std::string> values);
  GgufMetadata& i32s(std::string_view key, std::span<const std::int32_t> values);
  GgufMetadata& f32s(std::string_view key, std::span<const float> values);
  // A value as it stands in another file: its type's number and its bytes.
  GgufMetadata& raw(std::string_view key, ByteSpan type_and_value);

  std::uint64_t count() const { return count_; }
  ByteSpan bytes() const { return out_.view(); }

 private:
  ByteWriter& start(std::string_view key, std::uint32_t type);
  ByteWriter& array(std::string_view key, std::uint32_t type, std::size_t count);
  ByteWriter out_;
  std::uint64_t count_ = 0;
};

struct GgufShape {
  std::string name;
  std::uint32_t type = 0;            // as in ggml.h
  std::vector<std::uint64_t> shape;  // row-major: [out, in]; written the other way round
  std::uint64_t bytes = 0;
};

class GgufWriter {
 public:
  static constexpr std::uint64_t kAlignment = 32;  // the format's default

  static Result<GgufWriter> create(const std::string& path, const GgufMetadata& metadata, std::vector<GgufShape> tensors);
  // The next tensor's bytes, as many as were announced (a broken invariant otherwise).
  Result<void> add(ByteSpan bytes);
  // Where the file stands until it is committed: for those who read it back first.
  std::string path_before_commit() const { return file_.path_before_commit(); }
  Result<void> commit();  // after the last

 private:
  GgufWriter(NewFile file, std::vector<GgufShape> tensors) : file_(std::move(file)), tensors_(std::move(tensors)) {}
  Result<void> pad();
  NewFile file_;
  std::vector<GgufShape> tensors_;
  std::size_t next_ = 0;
};

}  // namespace sotto::data
