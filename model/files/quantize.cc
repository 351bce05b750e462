#include "model/files/quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"

namespace sotto::model {
namespace {

constexpr std::size_t kQ8Block = 32;

void put16(Bytes& out, std::uint16_t bits) {
  out.push_back(static_cast<std::uint8_t>(bits));
  out.push_back(static_cast<std::uint8_t>(bits >> 8));
}

// A scale d = max|x| / 127 as F16, then each x / d rounded half away from zero, as int8.
void put_q8_0(Bytes& out, std::span<const float> block) {
  float largest = 0;
  for (const float x : block) largest = std::max(largest, std::abs(x));
  const float d = largest / 127.0F, inverse = d == 0 ? 0.0F : 1.0F / d;
  put16(out, float_to_half(d));
  for (const float x : block) out.push_back(static_cast<std::uint8_t>(static_cast<std::int8_t>(std::round(x * inverse))));
}

}  // namespace

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);   // NaN
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // rounds to 2^16 or more
  const auto exponent = static_cast<std::int32_t>(magnitude >> 23) - 127;
  if (exponent < -25) return sign;
  // Numbers below 2^-14 have a fixed exponent: their unit is 2^-24.
  const std::uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
  const std::uint32_t dropped = exponent >= -14 ? 13U : static_cast<std::uint32_t>(-1 - exponent);
  const std::uint32_t kept = mantissa >> dropped, rest = mantissa & ((1U << dropped) - 1U), half = 1U << (dropped - 1U);
  const std::uint32_t rounded = kept + ((rest > half || (rest == half && (kept & 1U) != 0)) ? 1U : 0U);
  const std::uint32_t base = exponent >= -14 ? static_cast<std::uint32_t>(exponent + 14) << 10 : 0U;
  return static_cast<std::uint16_t>(sign | (base + rounded));  // a carry runs into the exponent, as it should
}

std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

Bytes to_bytes(NumberFormat format, std::span<const float> values) {
  Bytes out;
  switch (format) {
    case NumberFormat::kF32:
      static_assert(std::endian::native == std::endian::little);
      out.resize(values.size_bytes());
      if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
      return out;
    case NumberFormat::kF16:
      out.reserve(values.size() * 2);
      for (const float value : values) put16(out, float_to_half(value));
      return out;
    case NumberFormat::kBF16:
      out.reserve(values.size() * 2);
      for (const float value : values) put16(out, float_to_bfloat16(value));
      return out;
    case NumberFormat::kQ8_0:
      SOTTO_CHECK(values.size() % kQ8Block == 0);
      out.reserve(values.size() / kQ8Block * 34);
      for (; !values.empty(); values = values.subspan(kQ8Block)) put_q8_0(out, values.first(kQ8Block));
      return out;
    default: break;
  }
  throw Failure("numbers are not written in this format");
}

}  // namespace sotto::model
