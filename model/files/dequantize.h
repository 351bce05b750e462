// Number formats that model files store weights in, to fp32. Layouts and formulas: ggml's ggml-common.h (block_q4_0 ...) and
// ggml-quants.c (dequantize_row_q4_0 ...). All little-endian. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace sotto::model {

enum class NumberFormat : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL
};

std::optional<NumberFormat> format_of_gguf(std::uint32_t type);  // the number in the file (ggml.h, enum ggml_type)
std::string known_gguf_formats();                                // "F32, F16, ..."

// Elements are stored in blocks of this many, which take this many bytes.
struct BlockSize {
  std::size_t elements = 1;
  std::size_t bytes = 4;
};
BlockSize block_size(NumberFormat format);

float half_to_float(std::uint16_t bits);      // IEEE 754 binary16
float bfloat16_to_float(std::uint16_t bits);  // the upper half of a binary32

// `bytes` holds out.size() numbers, a whole number of blocks (a broken invariant otherwise).
void dequantize(NumberFormat format, ByteSpan bytes, std::span<float> out);
// Whether all numbers are finite: the numbers themselves, or the scales of their blocks.
bool all_finite(NumberFormat format, ByteSpan bytes);
std::vector<float> to_floats(NumberFormat format, ByteSpan bytes, std::size_t elements);

}  // namespace sotto::model
