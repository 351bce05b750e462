// Which model an adapter is: a hash of its tensors by name and of the scale of each module, whatever else its file says. The
// same adapter has the same hash in the coordinator's canonical form (base/adapter.h) and in a PEFT folder, so that a
// coordinator and a site name the model alike. Pure functions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/adapter.h"

namespace sotto::lineage {

struct NamedTensor {
  std::string name;  // as PEFT names it
  std::string type;  // as safetensors spells it: "F32"
  std::vector<std::uint64_t> shape;
  ByteSpan bytes;  // little-endian, row-major
};

// SHA-256 over text "sotto/weights/v1", u32 count, and each tensor in order of name: texts name and type, u32 number of
// axes, u64 each, SHA-256 of the bytes; u32 count, and each module that LoRA lies on in order of name: text name, f64 scale.
Digest weights_of(std::vector<NamedTensor> tensors, const std::map<std::string, double>& scales);
// Of what PEFT stores for LoRA factors, base_model.model.MODULE.lora_A.weight and .lora_B.weight, or for a prompt,
// prompt_embeddings; in F32.
Digest weights_of(const AdapterState& adapter);

}  // namespace sotto::lineage
