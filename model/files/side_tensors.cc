#include "model/files/side_tensors.h"

#include <algorithm>
#include <cmath>

namespace sotto::model {
namespace {

using data::SafetensorsFile;
using data::SafetensorsInfo;
using data::SafetensorsType;

bool is_frequency_table(const SafetensorsFile& file, const SafetensorsInfo& tensor, const ModelConfig& c) {
  const auto format = number_format(tensor.type);
  if (c.learned_positions || !format || tensor.shape != std::vector<std::uint64_t>{c.head_dim / 2}) return false;
  const auto values = to_floats(*format, file.bytes(tensor), tensor.elements);
  for (std::size_t e = 0; e < values.size(); ++e) {
    const double divisor = c.rope_divisors.empty() ? 1.0 : static_cast<double>(c.rope_divisors[e]);
    const double wanted = std::pow(c.rope_theta, -2.0 * static_cast<double>(e) / c.head_dim) / divisor;
    constexpr double kHalfPrecision = 1e-7;  // the steps between subnormal F16 numbers
    if (!(std::abs(static_cast<double>(values[e]) - wanted) <= 0.01 * wanted + kHalfPrecision)) return false;
  }
  return true;
}

std::optional<std::vector<float>> numbers(const SafetensorsFile& file, const SafetensorsInfo& tensor) {
  const auto bytes = file.bytes(tensor);
  if (const auto format = number_format(tensor.type)) return to_floats(*format, bytes, tensor.elements);
  if (tensor.type != SafetensorsType::kBool && tensor.type != SafetensorsType::kU8) return std::nullopt;
  return std::vector<float>(bytes.begin(), bytes.end());
}

// [1, 1, n, n]: 1 on and below the diagonal, 0 above.
bool is_causal_mask(const SafetensorsFile& file, const SafetensorsInfo& tensor) {
  const auto& shape = tensor.shape;
  if (shape.size() != 4 || shape[0] != 1 || shape[1] != 1 || shape[2] != shape[3]) return false;
  const auto values = numbers(file, tensor);
  if (!values) return false;
  const std::size_t n = shape[3];
  for (std::size_t query = 0; query < n; ++query)
    for (std::size_t key = 0; key < n; ++key)
      if ((*values)[query * n + key] != (key <= query ? 1.0F : 0.0F)) return false;
  return true;
}

}  // namespace

std::optional<NumberFormat> number_format(SafetensorsType type) {
  switch (type) {
    case SafetensorsType::kF32: return NumberFormat::kF32;
    case SafetensorsType::kF16: return NumberFormat::kF16;
    case SafetensorsType::kBF16: return NumberFormat::kBF16;
    default: return std::nullopt;
  }
}

bool is_redundant_buffer(const SafetensorsFile& file, const SafetensorsInfo& tensor, const ModelConfig& config) {
  const std::string& name = tensor.name;
  if (name.ends_with("rotary_emb.inv_freq")) return is_frequency_table(file, tensor, config);
  if (config.architecture != Architecture::kGpt2) return false;
  if (name.ends_with(".attn.bias")) return is_causal_mask(file, tensor);
  return name.ends_with(".attn.masked_bias") && tensor.elements == 1;
}

bool same_values(const StoredMatrix& a, const StoredMatrix& b) {
  if (a.tensor->shape != b.tensor->shape) return false;
  const auto a_format = number_format(a.tensor->type), b_format = number_format(b.tensor->type);
  if (!a_format || !b_format) return false;
  const ByteSpan a_bytes = a.file->bytes(*a.tensor), b_bytes = b.file->bytes(*b.tensor);
  if (a_format == b_format && std::ranges::equal(a_bytes, b_bytes)) return true;
  constexpr std::size_t kPart = 1 << 16;
  std::vector<float> a_part(kPart), b_part(kPart);
  const std::size_t a_size = block_size(*a_format).bytes, b_size = block_size(*b_format).bytes;
  for (std::size_t first = 0; first < a.tensor->elements; first += kPart) {
    const std::size_t count = std::min<std::size_t>(kPart, a.tensor->elements - first);
    a_part.resize(count);
    b_part.resize(count);
    dequantize(*a_format, a_bytes.subspan(first * a_size, count * a_size), a_part);
    dequantize(*b_format, b_bytes.subspan(first * b_size, count * b_size), b_part);
    if (a_part != b_part) return false;
  }
  return true;
}

}  // namespace sotto::model
