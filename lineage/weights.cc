#include "lineage/weights.h"

#include <algorithm>

#include "crypto/hash.h"

namespace sotto::lineage {

Digest weights_of(std::vector<NamedTensor> tensors, const std::map<std::string, double>& scales) {
  std::ranges::sort(tensors, {}, &NamedTensor::name);
  ByteWriter out;
  out.text("sotto/weights/v1").u32(static_cast<std::uint32_t>(tensors.size()));
  for (const auto& tensor : tensors) {
    out.text(tensor.name).text(tensor.type).u32(static_cast<std::uint32_t>(tensor.shape.size()));
    for (const auto n : tensor.shape) out.u64(n);
    out.raw(crypto::sha256(tensor.bytes));
  }
  out.u32(static_cast<std::uint32_t>(scales.size()));
  for (const auto& [module, scale] : scales) out.text(module).f64(scale);
  return crypto::sha256(out.view());
}

Digest weights_of(const AdapterState& adapter) {
  std::vector<NamedTensor> tensors;
  std::map<std::string, double> scales;
  const auto add = [&](const std::string& name, std::uint64_t rows, std::uint64_t columns,
                       const std::vector<float>& values) {
    const ByteSpan bytes(reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float));
    tensors.push_back({"base_model.model." + name + ".weight", "F32", {rows, columns}, bytes});
  };
  for (std::size_t i = 0; i < adapter.layout.modules.size(); ++i) {
    const auto& m = adapter.layout.modules[i];
    add(m.path + ".lora_A", m.rank, m.in, adapter.factors[i].a);
    add(m.path + ".lora_B", m.out, m.rank, adapter.factors[i].b);
    scales[m.path] = m.scale;
  }
  if (const auto& shape = adapter.layout.prompt; shape.tokens > 0) {
    const ByteSpan bytes(reinterpret_cast<const std::uint8_t*>(adapter.prompt.data()),
                         adapter.prompt.size() * sizeof(float));
    tensors.push_back({"prompt_embeddings", "F32", {shape.tokens, shape.width}, bytes});
  }
  return weights_of(std::move(tensors), scales);
}

}  // namespace sotto::lineage
