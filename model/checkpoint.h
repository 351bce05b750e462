// A model's weights on disk, from either format, under one set of names: Hugging Face's. No tensor library. When it is
// opened, every tensor that the configuration asks for is found and its shape and number format checked, and tensors that
// would change the result and are not computed are refused; reading cannot fail afterwards. Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace sotto::model {

struct WeightInfo {
  std::string name;                  // "model.layers.3.self_attn.q_proj.weight"
  std::vector<std::uint64_t> shape;  // row-major: [out, in], or [hidden] of a norm
};

// All weights of a model of this shape, embedding first; lm_head.weight only when it is not tied.
std::vector<WeightInfo> weight_infos(const ModelConfig& config);

class Checkpoint {
 public:
  // `path`: a .gguf file, or a folder with config.json and model.safetensors.
  static Result<Checkpoint> open(const std::string& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const ModelConfig& config() const;
  // In fp32, row-major, rows of q_proj and k_proj in Hugging Face's order whatever the file's. `name` is one of
  // weight_infos().
  std::vector<float> read(const std::string& name) const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
