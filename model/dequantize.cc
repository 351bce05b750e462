#include "model/dequantize.h"

#include <bit>
#include <cmath>

#include "base/check.h"

namespace sotto::model {
namespace {

constexpr std::size_t kBlock = 32;  // elements of a Q4_1 or Q8_0 block

std::uint16_t u16_at(ByteSpan bytes, std::size_t i) { return static_cast<std::uint16_t>(bytes[i] | (bytes[i + 1] << 8)); }

std::uint32_t u32_at(ByteSpan bytes, std::size_t i) {
  return std::uint32_t{u16_at(bytes, i)} | (std::uint32_t{u16_at(bytes, i + 2)} << 16);
}

// f16 scale d, then 32 signed bytes q: x = d q.
std::vector<float> q8_0(ByteSpan bytes, std::size_t elements) {
  constexpr std::size_t kBytes = 2 + kBlock;
  SOTTO_CHECK(elements % kBlock == 0 && bytes.size() == elements / kBlock * kBytes);
  std::vector<float> out(elements);
  for (std::size_t block = 0; block < elements / kBlock; ++block) {
    const ByteSpan b = bytes.subspan(block * kBytes, kBytes);
    const float d = half_to_float(u16_at(b, 0));
    for (std::size_t i = 0; i < kBlock; ++i)
      out[block * kBlock + i] = d * static_cast<float>(static_cast<std::int8_t>(b[2 + i]));
  }
  return out;
}

// f16 scale d, f16 minimum m, then 16 bytes of two 4-bit q each: x = d q + m. The low halves come first, then the high ones.
std::vector<float> q4_1(ByteSpan bytes, std::size_t elements) {
  constexpr std::size_t kBytes = 4 + kBlock / 2;
  SOTTO_CHECK(elements % kBlock == 0 && bytes.size() == elements / kBlock * kBytes);
  std::vector<float> out(elements);
  for (std::size_t block = 0; block < elements / kBlock; ++block) {
    const ByteSpan b = bytes.subspan(block * kBytes, kBytes);
    const float d = half_to_float(u16_at(b, 0)), m = half_to_float(u16_at(b, 2));
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
      out[block * kBlock + i] = d * static_cast<float>(b[4 + i] & 15) + m;
      out[block * kBlock + kBlock / 2 + i] = d * static_cast<float>(b[4 + i] >> 4) + m;
    }
  }
  return out;
}

}  // namespace

float half_to_float(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  if (exponent == 31)
    return sign * (fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN());
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

float bfloat16_to_float(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

std::vector<float> to_floats(NumberFormat format, ByteSpan bytes, std::size_t elements) {
  if (format == NumberFormat::kQ8_0) return q8_0(bytes, elements);
  if (format == NumberFormat::kQ4_1) return q4_1(bytes, elements);
  const std::size_t width = format == NumberFormat::kF32 ? 4 : 2;
  SOTTO_CHECK(bytes.size() == elements * width);
  std::vector<float> out(elements);
  for (std::size_t i = 0; i < elements; ++i) {
    switch (format) {
      case NumberFormat::kF32: out[i] = std::bit_cast<float>(u32_at(bytes, 4 * i)); break;
      case NumberFormat::kF16: out[i] = half_to_float(u16_at(bytes, 2 * i)); break;
      case NumberFormat::kBF16: out[i] = bfloat16_to_float(u16_at(bytes, 2 * i)); break;
      case NumberFormat::kQ8_0:
      case NumberFormat::kQ4_1: break;
    }
  }
  return out;
}

}  // namespace sotto::model
