// A model with an adapter folded into its weights, read like a checkpoint: W + scale * B A, for DoRA each row brought to its
// magnitude, and the adapter's own parameters in place of the base's. In fp32, as PEFT's merge_and_unload; no tensor
// library, one weight at a time.
#pragma once

#include <string>
#include <vector>

#include "model/adapter/adapter.h"
#include "model/files/checkpoint.h"

namespace sotto::model {

class MergedModel {
 public:
  // Both must outlive it. An empty adapter gives the base as it is. Refuses what check_adapter() refuses, and a merged
  // weight that would not be finite is refused when it is read.
  static Result<MergedModel> make(const Checkpoint& base, const Adapter& adapter);
  static Result<MergedModel> make(const Checkpoint& base, const Adapter&& adapter) = delete;

  // The base's, but that a tied head comes loose when the adapter replaces the head or the embedding alone.
  const ModelConfig& config() const { return config_; }
  const std::vector<WeightInfo>& weights() const { return weights_; }
  Result<std::vector<float>> read(const WeightInfo& weight) const;  // row-major, in the weight's shape

 private:
  MergedModel(const Checkpoint& base, const Adapter& adapter) : base_(&base), adapter_(&adapter) {}
  void add_lora(std::size_t module, std::vector<float>& weight_OI) const;
  const Checkpoint* base_;
  const Adapter* adapter_;
  ModelConfig config_;
  std::vector<WeightInfo> weights_;
};

}  // namespace sotto::model
