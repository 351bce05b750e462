// Which LoRA adapter a plan trains: the layout that follows from the plan and the model's shape, what it costs, and the
// order of the trained numbers. No tensors. LoRA: Hu et al. 2021, arXiv 2106.09685; rsLoRA's scale alpha / sqrt(rank):
// Kalajdzievski 2023, arXiv 2312.03732.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/adapter.h"
#include "model/files/model_config.h"
#include "plan/run_plan.h"

namespace sotto::model {

// All linear layers that LoRA can be put on, in base/adapter.h's order, with rank 0: path, in and out.
std::vector<LoraModule> linear_modules(const ModelConfig& config);

// The modules of the plan's layers whose path matches a target: the end of the path ("q_proj", "attn.c_proj"), or a pattern
// with * (any text) and ? (any one character) over the whole path ("model.layers.*.mlp.down_proj"). Refused, by field and
// value: no target, a target that matches nothing, layers outside the model, rank 0 or larger than a matrix, alpha <= 0,
// dropout outside [0, 1).
Result<AdapterLayout> lora_layout(const ModelConfig& config, const LoraPlan& plan);

// What a plan trains beside the model: LoRA's modules, or a prompt that fits into the model's positions with a record behind
// it. Not of trained = full. Refused as above.
Result<AdapterLayout> adapter_layout(const ModelConfig& config, const RunPlan& plan);

// All zeros, of the layout's sizes: LoRA that adds nothing.
AdapterState zero_adapter(const AdapterLayout& layout);

// The trained numbers of an adapter in the update vector's order (base/adapter.h), and an adapter with those numbers
// replaced.
std::vector<float> trained_vector(const AdapterState& state, TrainedPart part);
AdapterState with_trained(AdapterState state, TrainedPart part, std::span<const float> values);

struct AdapterSummary {
  std::uint64_t trained_parameters = 0;
  std::uint64_t adapter_parameters = 0;  // A and B
  std::uint64_t model_parameters = 0;    // of the frozen base
  std::uint64_t adapter_bytes = 0;       // fp32
  std::uint64_t model_bytes = 0;         // of the frozen base as it lies in memory
  double trained_percent() const;        // of model_parameters
  std::string text() const;              // one line for people
};
AdapterSummary summarize(const ModelConfig& config, std::uint64_t model_bytes, const AdapterLayout& layout,
                         TrainedPart part);

}  // namespace sotto::model
