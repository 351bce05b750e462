#include "model/network/block_tensors.h"

#include "base/check.h"

namespace sotto::model {
namespace {

// Layouts and formulas are those beside the functions of the same names in dequantize.cc; offsets are of bytes in a block.

at::Tensor part(const at::Tensor& b, std::int64_t offset, std::int64_t bytes) { return b.narrow(1, offset, bytes); }
at::Tensor in_type(const at::Tensor& bytes, at::ScalarType type) { return bytes.contiguous().view(type); }
at::Tensor half(const at::Tensor& b, std::int64_t offset) { return in_type(part(b, offset, 2), at::kHalf).to(at::kFloat); }
at::Tensor floats(const at::Tensor& integers) { return integers.to(at::kFloat); }

// Low halves of the bytes, then high ones, in a new dimension before the last.
at::Tensor nibbles(const at::Tensor& bytes) {
  return at::stack({at::bitwise_and(bytes, 15), at::bitwise_right_shift(bytes, 4)}, -2);
}

// Fields of `width` bits of each byte, lowest first, in a new dimension before the last.
at::Tensor fields(const at::Tensor& bytes, std::int64_t width) {
  const at::Tensor shifts = at::arange(0, 8, width, bytes.options()).unsqueeze(1);
  return at::bitwise_and(at::bitwise_right_shift(bytes.unsqueeze(-2), shifts), (1 << width) - 1);
}

// The bits of four bytes, 32 of each block: 0 or 1.
at::Tensor bits_of(const at::Tensor& bytes_N4) { return fields(bytes_N4, 1).transpose(1, 2).flatten(1); }

at::Tensor with_fifth_bits(const at::Tensor& q, const at::Tensor& bits) {
  return at::bitwise_or(q, at::bitwise_left_shift(bits, 4));
}

at::Tensor q8_0(const at::Tensor& b) { return half(b, 0) * floats(in_type(part(b, 2, 32), at::kChar)); }
at::Tensor q4_0(const at::Tensor& b) { return half(b, 0) * (floats(nibbles(part(b, 2, 16)).flatten(1)) - 8); }
at::Tensor q4_1(const at::Tensor& b) { return half(b, 0) * floats(nibbles(part(b, 4, 16)).flatten(1)) + half(b, 2); }
at::Tensor q5_0(const at::Tensor& b) {
  return half(b, 0) * (floats(with_fifth_bits(nibbles(part(b, 6, 16)).flatten(1), bits_of(part(b, 2, 4)))) - 16);
}
at::Tensor q5_1(const at::Tensor& b) {
  return half(b, 0) * floats(with_fifth_bits(nibbles(part(b, 8, 16)).flatten(1), bits_of(part(b, 4, 4)))) + half(b, 2);
}
at::Tensor iq4_nl(const at::Tensor& b) {
  const at::Tensor steps =
      at::tensor({-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, at::kFloat);
  const at::Tensor q = nibbles(part(b, 2, 16)).flatten(1);
  return half(b, 0) * steps.to(b.device()).index_select(0, q.flatten().to(at::kLong)).view(q.sizes());
}

// Blocks of 256: numbers in G groups, scales and minima one a group.
at::Tensor grouped(const at::Tensor& q, std::int64_t groups) { return floats(q).reshape({q.size(0), groups, 256 / groups}); }

at::Tensor q2_k(const at::Tensor& b) {
  const at::Tensor q = grouped(fields(part(b, 16, 64).unflatten(1, {2, 32}), 2), 16), scales = part(b, 0, 16);
  const at::Tensor step = half(b, 80) * floats(at::bitwise_and(scales, 15));
  const at::Tensor minimum = half(b, 82) * floats(at::bitwise_right_shift(scales, 4));
  return step.unsqueeze(2) * q - minimum.unsqueeze(2);
}

at::Tensor q3_k(const at::Tensor& b) {
  const at::Tensor q = grouped(fields(part(b, 32, 64).unflatten(1, {2, 32}), 2), 16);
  const at::Tensor third = grouped(fields(part(b, 0, 32), 1), 16);
  const at::Tensor low = nibbles(part(b, 96, 8)).flatten(1), high = fields(part(b, 104, 4), 2).flatten(1);
  const at::Tensor scale = floats(at::bitwise_or(low, at::bitwise_left_shift(high, 4))) - 32;
  return (half(b, 108) * scale).unsqueeze(2) * (q - 4 * (1 - third));
}

// What q4_k and q5_k share: step and minimum of each of 8 groups, from the 16 bytes in front.
std::pair<at::Tensor, at::Tensor> steps_and_minima(const at::Tensor& b) {
  const at::Tensor first = part(b, 4, 4), second = part(b, 8, 4), third = part(b, 12, 4);
  const auto upper = [](const at::Tensor& s) { return at::bitwise_left_shift(at::bitwise_right_shift(s, 6), 4); };
  const at::Tensor scales =
      at::cat({at::bitwise_and(first, 63), at::bitwise_or(at::bitwise_and(third, 15), upper(first))}, 1);
  const at::Tensor minima =
      at::cat({at::bitwise_and(second, 63), at::bitwise_or(at::bitwise_right_shift(third, 4), upper(second))}, 1);
  return {(half(b, 0) * floats(scales)).unsqueeze(2), (half(b, 2) * floats(minima)).unsqueeze(2)};
}

at::Tensor q4_k(const at::Tensor& b) {
  const auto [step, minimum] = steps_and_minima(b);
  return step * grouped(nibbles(part(b, 16, 128).unflatten(1, {4, 32})), 8) - minimum;
}

at::Tensor q5_k(const at::Tensor& b) {
  const auto [step, minimum] = steps_and_minima(b);
  const at::Tensor low = nibbles(part(b, 48, 128).unflatten(1, {4, 32})).flatten(1);
  return step * grouped(with_fifth_bits(low, fields(part(b, 16, 32), 1).flatten(1)), 8) - minimum;
}

at::Tensor q6_k(const at::Tensor& b) {
  const at::Tensor low = nibbles(part(b, 0, 128).unflatten(1, {2, 64})).flatten(1);
  const at::Tensor high = fields(part(b, 128, 64).unflatten(1, {2, 32}), 2).flatten(1);
  const at::Tensor step = half(b, 208) * floats(in_type(part(b, 192, 16), at::kChar));
  return step.unsqueeze(2) * (grouped(with_fifth_bits(low, high), 16) - 32);
}

}  // namespace

at::Tensor unpack_blocks(NumberFormat format, const at::Tensor& blocks_NB) {
  const auto numbers = [&]() -> at::Tensor {
    switch (format) {
      case NumberFormat::kF32: return in_type(blocks_NB, at::kFloat);
      case NumberFormat::kF16: return floats(in_type(blocks_NB, at::kHalf));
      case NumberFormat::kBF16: return floats(in_type(blocks_NB, at::kBFloat16));
      case NumberFormat::kQ8_0: return q8_0(blocks_NB);
      case NumberFormat::kQ4_0: return q4_0(blocks_NB);
      case NumberFormat::kQ4_1: return q4_1(blocks_NB);
      case NumberFormat::kQ5_0: return q5_0(blocks_NB);
      case NumberFormat::kQ5_1: return q5_1(blocks_NB);
      case NumberFormat::kQ2_K: return q2_k(blocks_NB);
      case NumberFormat::kQ3_K: return q3_k(blocks_NB);
      case NumberFormat::kQ4_K: return q4_k(blocks_NB);
      case NumberFormat::kQ5_K: return q5_k(blocks_NB);
      case NumberFormat::kQ6_K: return q6_k(blocks_NB);
      case NumberFormat::kIQ4_NL: return iq4_nl(blocks_NB);
    }
    fail_check("a known number format", __FILE__, __LINE__);
  };
  return numbers().flatten(1);
}

}  // namespace sotto::model
