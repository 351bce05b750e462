// fp32 to the number formats that files are written in: the other half of dequantize.h. Rounding is what the reference
// programs do, bit for bit: to nearest, ties to even, for F16 (overflow becomes infinity) and BF16; ggml-quants.c's
// quantize_row_q8_0_ref for Q8_0. Values are finite. Pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "model/files/dequantize.h"

namespace sotto::model {

std::uint16_t float_to_half(float value);      // IEEE 754 binary16
std::uint16_t float_to_bfloat16(float value);  // the upper half of a binary32

// `format` is kF32, kF16, kBF16 or kQ8_0; for kQ8_0 the values are a whole number of blocks of 32 (broken invariants
// otherwise).
Bytes to_bytes(NumberFormat format, std::span<const float> values);

}  // namespace sotto::model
