// Tensors that a Hugging Face folder has beside a model's weights, and what they mean for the result. Only what transformers
// (5.24) leaves out of the computation is harmless: everything else changes the result and must be used or refused. Pure
// functions; no tensor library.
#pragma once

#include <optional>

#include "data/files/safetensors_file.h"
#include "model/files/dequantize.h"
#include "model/files/model_config.h"

namespace sotto::model {

// Whether a tensor is a buffer that old versions of transformers saved and that holds what the configuration says anyway: a
// table of rotary frequencies (to 1 %, they were saved in half precision, too), or GPT-2's causal mask and the number that
// masked scores had. A buffer with other values is none.
bool is_redundant_buffer(const data::SafetensorsFile& file, const data::SafetensorsInfo& tensor, const ModelConfig& config);

// The number format of a safetensors type; none of integers and of F64.
std::optional<NumberFormat> number_format(data::SafetensorsType type);

// Whether two matrices have the same shape and, as fp32 numbers, the same values.
struct StoredMatrix {
  const data::SafetensorsFile* file;
  const data::SafetensorsInfo* tensor;
};
bool same_values(const StoredMatrix& a, const StoredMatrix& b);

}  // namespace sotto::model
