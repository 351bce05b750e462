#include "model/adapter/peft_tensors.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "model/files/dequantize.h"

namespace sotto::model {
namespace {

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string text = "[";
  for (const auto n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

std::optional<NumberFormat> format_of(data::SafetensorsType type) {
  if (type == data::SafetensorsType::kF32) return NumberFormat::kF32;
  if (type == data::SafetensorsType::kF16) return NumberFormat::kF16;
  if (type == data::SafetensorsType::kBF16) return NumberFormat::kBF16;
  return std::nullopt;
}

}  // namespace

Result<std::vector<float>> TensorReader::read(const std::string& name, const std::vector<std::uint64_t>& shape) {
  const auto* tensor = file_.find_tensor(name);
  if (tensor == nullptr)
    return invalid(file_.origin() + ": the tensor " + name +
                   " is missing; adapter_config.json names it, so the adapter is incomplete");
  if (tensor->shape != shape)
    return invalid(file_.origin() + ": the tensor " + name + " has shape " + shape_text(tensor->shape) +
                   " where its rank and the model ask for " + shape_text(shape) + "; it belongs to another model");
  const auto format = format_of(tensor->type);
  if (!format)
    return unsupported(file_.origin() + ": the tensor " + name + " has type " + to_string(tensor->type) +
                       " (F32, F16 and BF16 are read)");
  auto values = to_floats(*format, file_.bytes(*tensor), tensor->elements);
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return invalid(file_.origin() + ": the tensor " + name + " has values that are not finite");
  read_.insert(name);
  return values;
}

std::vector<std::string> TensorReader::unread() const {
  std::vector<std::string> names;
  for (const auto& tensor : file_.tensors())
    if (!read_.contains(tensor.name)) names.push_back(tensor.name);
  return names;
}

}  // namespace sotto::model
