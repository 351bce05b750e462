// What shape a Llama model has, read from a GGUF file's metadata or a Hugging Face config.json. Plain values, no tensors.
// Whatever a source says that would change the result and that this version does not compute (another architecture, a scaled
// rotary embedding, biases, a sliding window ...) is refused by its name.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace sotto::data {
class GgufFile;  // data/gguf_file.h
}

namespace sotto::model {

struct ModelConfig {
  std::uint32_t vocab_size = 0;
  std::uint32_t hidden_size = 0;
  std::uint32_t intermediate_size = 0;
  std::uint32_t layers = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;  // divides heads: grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245)
  std::uint32_t head_dim = 0;
  std::uint32_t max_positions = 0;  // longest context the model was made for
  double rms_eps = 1e-5;
  double rope_theta = 10000.0;
  bool tied_embeddings = true;  // the head is the embedding matrix

  std::uint64_t parameters() const;  // all weights; a tied head counts once
  bool operator==(const ModelConfig&) const = default;
};

Result<ModelConfig> model_config(const data::GgufFile& file);
// `origin` (the file's name) starts every message.
Result<ModelConfig> model_config(const Json& config, const std::string& origin);

}  // namespace sotto::model
