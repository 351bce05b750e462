// The safetensors container (format: huggingface/safetensors README): a JSON header and one block of tensor bytes. It knows
// no tensors. Everything is checked when the file is opened (header length, types, shapes, offsets: in order, without gap,
// overlap or rest), so that whoever holds a SafetensorsFile can read every tensor's bytes. Errors name file, tensor and
// value. Immutable after opening; reading from several threads is safe.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/file_bytes.h"

namespace sotto::data {

enum class SafetensorsType { kBool, kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64, kF16, kBF16, kF32, kF64 };
const char* to_string(SafetensorsType type);  // as the format spells it: "F32", "BF16"
std::size_t element_size(SafetensorsType type);

struct SafetensorsInfo {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<std::uint64_t> shape;  // row-major: the last runs fastest; empty for a scalar
  std::uint64_t elements = 1;
  std::uint64_t offset = 0;  // from the start of the data section
  std::uint64_t size = 0;    // bytes
};

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);
  static Result<SafetensorsFile> parse(FileBytes bytes, std::string origin);

  const std::string& origin() const { return origin_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }  // __metadata__
  std::span<const SafetensorsInfo> tensors() const { return tensors_; }                          // in order of offset
  const SafetensorsInfo* find_tensor(std::string_view name) const;
  ByteSpan bytes(const SafetensorsInfo& tensor) const;               // `tensor` is one of tensors()
  void drop_pages(ByteSpan part) const { bytes_.drop_pages(part); }  // file_bytes.h; `part` of what bytes() gave

 private:
  SafetensorsFile(FileBytes bytes, std::string origin) : bytes_(std::move(bytes)), origin_(std::move(origin)) {}
  FileBytes bytes_;
  std::string origin_;
  std::map<std::string, std::string, std::less<>> metadata_;
  std::vector<SafetensorsInfo> tensors_;
  ByteSpan data_;
};

// Writes such a file (PEFT adapters, merged models): tensors in the order given, names unique, sizes as shape and type say
// (a broken invariant otherwise). The header is padded with spaces to a multiple of 8 bytes.
struct SafetensorsTensor {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<std::uint64_t> shape;
  ByteSpan bytes;  // little-endian, row-major
};
// The bytes before the data of such a file, for tensors of which only what they are is known yet (safetensors_writer.h).
struct SafetensorsShape {
  std::string name;
  SafetensorsType type = SafetensorsType::kF32;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes() const;
};
Bytes safetensors_header(std::span<const SafetensorsShape> tensors,
                         const std::map<std::string, std::string, std::less<>>& metadata);

Bytes encode_safetensors(std::span<const SafetensorsTensor> tensors,
                         const std::map<std::string, std::string, std::less<>>& metadata = {});

}  // namespace sotto::data
