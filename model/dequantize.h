// Number formats that model files store weights in, to fp32. Layouts: ggml's ggml-common.h (block_q4_1, block_q8_0). All
// little-endian. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace sotto::model {

enum class NumberFormat : std::uint8_t { kF32, kF16, kBF16, kQ8_0, kQ4_1 };

float half_to_float(std::uint16_t bits);      // IEEE 754 binary16
float bfloat16_to_float(std::uint16_t bits);  // the upper half of a binary32

// bytes.size() is what `elements` numbers take in the format (a broken invariant otherwise).
std::vector<float> to_floats(NumberFormat format, ByteSpan bytes, std::size_t elements);

}  // namespace sotto::model
