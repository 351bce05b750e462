// Reads the tensors of an adapter's safetensors file and remembers which were read. Internal to model/.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/files/safetensors_file.h"

namespace sotto::model {

class TensorReader {
 public:
  explicit TensorReader(const data::SafetensorsFile& file) : file_(file) {}

  // Refused by name: a tensor that is missing, has another shape, another type than F32, F16 or BF16, or values that are not
  // finite.
  Result<std::vector<float>> read(const std::string& name, const std::vector<std::uint64_t>& shape);
  std::vector<std::string> unread() const;

 private:
  const data::SafetensorsFile& file_;
  std::set<std::string> read_;
};

}  // namespace sotto::model
