// The GGUF container, versions 2 and 3, little-endian (layout: ggml's docs/gguf.md): header, metadata, tensor directory. It
// knows no tensors: what a type's blocks mean is the model's business. Everything is checked when the file is opened (counts
// and lengths against what is left, types, alignment, sizes, bounds, overlaps, duplicate names), so that whoever holds a
// GgufFile can read every tensor's bytes. Errors name file, field and value. Immutable after opening; reading from several
// threads is safe.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/files/file_bytes.h"

namespace sotto::data {

// A tensor's element type: the file's number, and how its elements are packed.
struct GgufType {
  std::uint32_t id = 0;  // as in ggml.h: 0 F32, 1 F16, 3 Q4_1, 8 Q8_0, 30 BF16 ...
  const char* name = "";
  std::uint32_t block_elements = 1;  // elements of a block, along the first dimension
  std::uint32_t block_bytes = 1;
};

struct GgufTensorInfo {
  std::string name;
  GgufType type;
  std::vector<std::uint64_t>
      dims;  // in the file's order: dims[0] runs fastest (a [out, in] matrix has dims {in, out}); 1 to 4
  std::uint64_t elements = 0;
  std::uint64_t offset = 0;  // from the start of the data section
  std::uint64_t size = 0;    // bytes
};

// A metadata value, widened: unsigned and signed integers of all widths, f32 and f64, bool, string, and arrays of each.
using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::uint64_t>,
                               std::vector<std::int64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>>;

class GgufFile {
 public:
  static Result<GgufFile> open(const std::string& path);
  // The same from memory; `origin` stands for the path in error messages.
  static Result<GgufFile> parse(FileBytes bytes, std::string origin);

  const std::string& origin() const { return origin_; }
  std::uint32_t version() const { return version_; }

  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // nullptr when there is no such key
  // The value as it stands in the file: its type's number, u32, then its bytes. There is such a key (a broken invariant
  // otherwise).
  ByteSpan raw(std::string_view key) const;
  // Checked reads. Integers are taken whatever their width and sign if they fit; get_double takes integers too.
  Result<std::uint64_t> get_uint(std::string_view key) const;
  Result<double> get_double(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  Result<const std::vector<std::string>*> get_strings(std::string_view key) const;

  std::span<const GgufTensorInfo> tensors() const { return tensors_; }
  const GgufTensorInfo* find_tensor(std::string_view name) const;
  ByteSpan bytes(const GgufTensorInfo& tensor) const;                // `tensor` is one of tensors()
  void drop_pages(ByteSpan part) const { bytes_.drop_pages(part); }  // file_bytes.h; `part` of what bytes() gave

 private:
  GgufFile(FileBytes bytes, std::string origin) : bytes_(std::move(bytes)), origin_(std::move(origin)) {}
  FileBytes bytes_;
  std::string origin_;
  std::uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::map<std::string, ByteSpan, std::less<>> raw_;
  std::vector<GgufTensorInfo> tensors_;
  ByteSpan data_;
};

}  // namespace sotto::data
