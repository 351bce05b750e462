// A LoRA adapter without a tensor library: what the coordinator, the auditor and the aggregation see of a model.
// For a linear layer y = W x, LoRA adds scale * B (A x), with A [rank, in], B [out, rank], scale = alpha / rank (or
// alpha / sqrt(rank) for rsLoRA); Hu et al. 2021, arXiv 2106.09685. Matrices are row-major fp32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace sotto {

struct LoraModule {
  std::string path;  // as Hugging Face names it: "model.layers.3.self_attn.q_proj"
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  std::uint32_t rank = 0;
  double scale = 1.0;
  bool operator==(const LoraModule&) const = default;
};

enum class TrainedPart : std::uint8_t { kB = 0, kAB = 1 };

// The modules in the model's order: layer by layer, then q, k, v, o, gate, up, down.
struct AdapterLayout {
  std::vector<LoraModule> modules;

  std::size_t a_size() const;  // sum of rank * in
  std::size_t b_size() const;  // sum of out * rank
  // Length of an update vector: all B in module order (kB); or for each module A then B (kAB).
  std::size_t trained_size(TrainedPart part) const;
  bool operator==(const AdapterLayout&) const = default;
};

struct LoraFactors {
  std::vector<float> a;  // [rank, in]
  std::vector<float> b;  // [out, rank]
  bool operator==(const LoraFactors&) const = default;
};

struct AdapterState {
  AdapterLayout layout;
  std::vector<LoraFactors> factors;  // one per module
  bool operator==(const AdapterState&) const = default;
};

// Canonical bytes, for hashing, sending and storing. Reading refuses sizes that do not fit the layout and non-finite values.
Bytes encode(const AdapterLayout& layout);
Result<AdapterLayout> decode_layout(ByteSpan bytes);
Bytes encode(const AdapterState& state);
Result<AdapterState> decode_adapter(ByteSpan bytes);

}  // namespace sotto
