// Writes a safetensors file tensor by tensor, without holding it in memory. It appears whole or not at all
// (base/new_file.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/new_file.h"
#include "data/files/safetensors_file.h"

namespace sotto::data {

class SafetensorsWriter {
 public:
  // The tensors in the order in which they will be added; names are unique.
  static Result<SafetensorsWriter> create(const std::string& path, std::vector<SafetensorsShape> tensors,
                                          const std::map<std::string, std::string, std::less<>>& metadata = {});
  // The next tensor's bytes, little-endian, row-major; their number is the one of its shape and type (a broken invariant
  // otherwise).
  Result<void> add(ByteSpan bytes);
  Result<void> commit();  // after the last

 private:
  SafetensorsWriter(NewFile file, std::vector<SafetensorsShape> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}
  NewFile file_;
  std::vector<SafetensorsShape> tensors_;
  std::size_t next_ = 0;
};

}  // namespace sotto::data
