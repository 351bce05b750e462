#include "model/files/dequantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace sotto::model {
namespace {

using Block = const std::uint8_t*;  // the bytes of one block

std::uint16_t u16_at(Block b) { return static_cast<std::uint16_t>(b[0] | (b[1] << 8)); }
std::uint32_t u32_at(Block b) { return std::uint32_t{u16_at(b)} | (std::uint32_t{u16_at(b + 2)} << 16); }
float half_at(Block b) { return half_to_float(u16_at(b)); }
float from_int(int v) { return static_cast<float>(v); }

// In the blocks of 32 that follow, d and m are f16, q are small integers; where two 4-bit q share a byte, the low halves
// come first and the high ones 16 elements later.

// d, 32 signed bytes: x = d q.
void q8_0(Block b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 32; ++i) y[i] = d * from_int(static_cast<std::int8_t>(b[2 + i]));
}

// d, 16 bytes: x = d (q - 8).
void q4_0(Block b, float* y) {
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * from_int((b[2 + i] & 15) - 8);
    y[i + 16] = d * from_int((b[2 + i] >> 4) - 8);
  }
}

// d, m, 16 bytes: x = d q + m.
void q4_1(Block b, float* y) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * from_int(b[4 + i] & 15) + m;
    y[i + 16] = d * from_int(b[4 + i] >> 4) + m;
  }
}

// d, the fifth bits of all 32, 16 bytes: x = d (q - 16).
void q5_0(Block b, float* y) {
  const float d = half_at(b);
  const std::uint32_t high = u32_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * from_int(((b[6 + i] & 15) | static_cast<int>((high >> i & 1) << 4)) - 16);
    y[i + 16] = d * from_int(((b[6 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4)) - 16);
  }
}

// d, m, the fifth bits, 16 bytes: x = d q + m.
void q5_1(Block b, float* y) {
  const float d = half_at(b), m = half_at(b + 2);
  const std::uint32_t high = u32_at(b + 4);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * from_int((b[8 + i] & 15) | static_cast<int>((high >> i & 1) << 4)) + m;
    y[i + 16] = d * from_int((b[8 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4)) + m;
  }
}

// d, 16 bytes of two indices into a table of steps each.
void iq4_nl(Block b, float* y) {
  static constexpr std::array<int, 16> kSteps = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  const float d = half_at(b);
  for (int i = 0; i < 16; ++i) {
    y[i] = d * from_int(kSteps[b[2 + i] & 15]);
    y[i + 16] = d * from_int(kSteps[b[2 + i] >> 4]);
  }
}

// Blocks of 256, in groups of 16 or 32 with a small scale each; two halves of 128 follow the same plan.

// 16 bytes of scale and minimum (4 bits each), 64 bytes of four 2-bit q each, d, m: x = d scale q - m minimum.
void q2_k(Block b, float* y) {
  const Block scales = b;
  const float d = half_at(b + 80), m = half_at(b + 82);
  for (int group = 0; group < 16; ++group) {
    const Block q = b + 16 + 32 * (group / 8) + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2);
    const float scale = d * from_int(scales[group] & 15), minimum = m * from_int(scales[group] >> 4);
    for (int i = 0; i < 16; ++i) *y++ = scale * from_int(q[i] >> shift & 3) - minimum;
  }
}

// 32 bytes of third bits, 64 bytes of four 2-bit q each, 12 bytes of 16 6-bit scales, d: x = d (scale - 32) (q - 4), where
// the third bit adds 4.
void q3_k(Block b, float* y) {
  const Block high = b, scales = b + 96;
  const float d = half_at(b + 108);
  for (int group = 0; group < 16; ++group) {
    const Block q = b + 32 + 32 * (group / 8) + 16 * (group % 2);
    const int shift = 2 * (group % 8 / 2), bit = group / 2, half = 16 * (group % 2);
    const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int scale = low | ((scales[8 + group % 4] >> (2 * (group / 4)) & 3) << 4);
    const float step = d * from_int(scale - 32);
    for (int i = 0; i < 16; ++i) *y++ = step * from_int((q[i] >> shift & 3) - ((high[half + i] >> bit & 1) != 0 ? 0 : 4));
  }
}

// The 6-bit scale and minimum of group 0 to 7 from their 12 bytes (ggml-quants.c, get_scale_min_k4).
std::array<int, 2> scale_and_minimum(Block s, int group) {
  if (group < 4) return {s[group] & 63, s[group + 4] & 63};
  return {(s[group + 4] & 15) | (s[group - 4] >> 6 << 4), (s[group + 4] >> 4) | (s[group] >> 6 << 4)};
}

// d, m, 12 bytes of scales and minima, 128 bytes of two 4-bit q each: x = d scale q - m minimum.
void q4_k(Block b, float* y) {
  const float d = half_at(b), m = half_at(b + 2);
  for (int group = 0; group < 8; ++group) {
    const Block q = b + 16 + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    const auto [scale, minimum] = scale_and_minimum(b + 4, group);
    const float step = d * from_int(scale), below = m * from_int(minimum);
    for (int i = 0; i < 32; ++i) *y++ = step * from_int(q[i] >> shift & 15) - below;
  }
}

// The same with 32 bytes of fifth bits, one of each group in a byte, before the 4-bit q.
void q5_k(Block b, float* y) {
  const Block high = b + 16;
  const float d = half_at(b), m = half_at(b + 2);
  for (int group = 0; group < 8; ++group) {
    const Block q = b + 48 + 32 * (group / 2);
    const int shift = 4 * (group % 2);
    const auto [scale, minimum] = scale_and_minimum(b + 4, group);
    const float step = d * from_int(scale), below = m * from_int(minimum);
    for (int i = 0; i < 32; ++i) *y++ = step * from_int((q[i] >> shift & 15) | (high[i] >> group & 1) << 4) - below;
  }
}

// 128 bytes of low halves, 64 bytes of four upper 2-bit parts, 16 signed scales, d: x = d scale (q - 32).
void q6_k(Block b, float* y) {
  const float d = half_at(b + 208);
  for (int group = 0; group < 16; ++group) {
    const int half = group / 8, quarter = group % 8 / 2, sixteen = 16 * (group % 2);
    const Block low = b + 64 * half + 32 * (quarter % 2) + sixteen;
    const Block high = b + 128 + 32 * half + sixteen;
    const float step = d * from_int(static_cast<std::int8_t>(b[192 + group]));
    for (int i = 0; i < 16; ++i)
      *y++ = step * from_int(((low[i] >> (4 * (quarter / 2)) & 15) | (high[i] >> (2 * quarter) & 3) << 4) - 32);
  }
}

struct Format {
  NumberFormat format;
  std::uint32_t gguf;
  const char* name;
  BlockSize block;
  void (*read)(Block, float*);  // of one block; none where numbers stand alone
  std::size_t scales_at = 0;    // where a block has its f16 scales
  std::size_t scales = 0;
};
constexpr Format kFormats[] = {
    {NumberFormat::kF32, 0, "F32", {1, 4}, nullptr},
    {NumberFormat::kF16, 1, "F16", {1, 2}, nullptr},
    {NumberFormat::kBF16, 30, "BF16", {1, 2}, nullptr},
    {NumberFormat::kQ8_0, 8, "Q8_0", {32, 34}, q8_0, 0, 1},
    {NumberFormat::kQ4_0, 2, "Q4_0", {32, 18}, q4_0, 0, 1},
    {NumberFormat::kQ4_1, 3, "Q4_1", {32, 20}, q4_1, 0, 2},
    {NumberFormat::kQ5_0, 6, "Q5_0", {32, 22}, q5_0, 0, 1},
    {NumberFormat::kQ5_1, 7, "Q5_1", {32, 24}, q5_1, 0, 2},
    {NumberFormat::kQ2_K, 10, "Q2_K", {256, 84}, q2_k, 80, 2},
    {NumberFormat::kQ3_K, 11, "Q3_K", {256, 110}, q3_k, 108, 1},
    {NumberFormat::kQ4_K, 12, "Q4_K", {256, 144}, q4_k, 0, 2},
    {NumberFormat::kQ5_K, 13, "Q5_K", {256, 176}, q5_k, 0, 2},
    {NumberFormat::kQ6_K, 14, "Q6_K", {256, 210}, q6_k, 208, 1},
    {NumberFormat::kIQ4_NL, 20, "IQ4_NL", {32, 18}, iq4_nl, 0, 1},
};

const Format& find(NumberFormat format) {
  for (const auto& row : kFormats)
    if (row.format == format) return row;
  fail_check("a known number format", __FILE__, __LINE__);
}

// Numbers that stand alone: loops that the compiler vectorises.
void read_f32(Block b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<float>(u32_at(b + 4 * i));
}
void read_bf16(Block b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<float>(std::uint32_t{u16_at(b + 2 * i)} << 16);
}
void read_f16(Block b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = half_at(b + 2 * i);
}

// Whether no exponent, in words of this size, has all its bits set. A loop that the compiler vectorises.
template <class Word>
bool no_full_exponent(ByteSpan bytes, Word exponent) {
  Word worst = 0;
  for (std::size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    Word word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    worst = std::max(worst, static_cast<Word>(word & exponent));
  }
  return worst != exponent;
}

}  // namespace

std::optional<NumberFormat> format_of_gguf(std::uint32_t type) {
  for (const auto& row : kFormats)
    if (row.gguf == type) return row.format;
  return std::nullopt;
}

std::string known_gguf_formats() {
  std::string names;
  for (const auto& row : kFormats) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

BlockSize block_size(NumberFormat format) { return find(format).block; }

// Subnormals: their fraction, as an integer, times 2^-24. Others: exponent and fraction move to a binary32's place.
float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16, rest = bits & 0x7FFFU;
  const float subnormal = static_cast<float>(static_cast<std::int32_t>(rest)) * 0x1p-24F;
  const std::uint32_t normal = (rest << 13) + (112U << 23), infinite_or_nan = (rest << 13) | 0x7F800000U;
  const std::uint32_t magnitude =
      rest < 0x0400U ? std::bit_cast<std::uint32_t>(subnormal) : (rest < 0x7C00U ? normal : infinite_or_nan);
  return std::bit_cast<float>(sign | magnitude);
}

float bfloat16_to_float(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

void dequantize(NumberFormat format, ByteSpan bytes, std::span<float> out) {
  const auto& row = find(format);
  SOTTO_CHECK(out.size() % row.block.elements == 0 && bytes.size() == out.size() / row.block.elements * row.block.bytes);
  if (format == NumberFormat::kF32) return read_f32(bytes.data(), out);
  if (format == NumberFormat::kF16) return read_f16(bytes.data(), out);
  if (format == NumberFormat::kBF16) return read_bf16(bytes.data(), out);
  for (std::size_t block = 0; block < out.size() / row.block.elements; ++block)
    row.read(bytes.data() + block * row.block.bytes, out.data() + block * row.block.elements);
}

bool all_finite(NumberFormat format, ByteSpan bytes) {
  constexpr std::uint16_t kHalfExponent = 0x7C00, kBfloatExponent = 0x7F80;
  if (format == NumberFormat::kF32) return no_full_exponent<std::uint32_t>(bytes, 0x7F800000U);
  if (format == NumberFormat::kF16) return no_full_exponent<std::uint16_t>(bytes, kHalfExponent);
  if (format == NumberFormat::kBF16) return no_full_exponent<std::uint16_t>(bytes, kBfloatExponent);
  const auto& row = find(format);
  for (std::size_t at = row.scales_at; at < bytes.size(); at += row.block.bytes)
    if (!no_full_exponent<std::uint16_t>(bytes.subspan(at, 2 * row.scales), kHalfExponent)) return false;
  return true;
}

std::vector<float> to_floats(NumberFormat format, ByteSpan bytes, std::size_t elements) {
  std::vector<float> out(elements);
  dequantize(format, bytes, out);
  return out;
}

}  // namespace sotto::model
