// Which tensors a model of a configuration has, and what each format calls them. No tensor library.
#pragma once

#include <string>
#include <vector>

#include "model/files/model_config.h"

namespace sotto::model {

// The linear layers that a layer can have, in base/adapter.h's order. kQkv gives q, k and v one after another (GPT-2's
// c_attn), in place of the first three; kUp is c_fc where no gate is.
enum LinearKind : std::size_t { kQ, kK, kV, kQkv, kO, kGate, kUp, kDown, kLinearKinds };

struct LinearInfo {
  LinearKind kind = kQ;
  std::string path;  // within its layer: "self_attn.q_proj"
  std::uint32_t in = 0;
  std::uint32_t out = 0;
  bool bias = false;
};
// The linear layers of one layer, in order; every layer of a model has the same.
std::vector<LinearInfo> layer_linears(const ModelConfig& config);

// Hugging Face's names of a layer's norms, within the layer and without ".weight"; empty where there is none.
struct NormNames {
  std::string attention;         // of attention's input
  std::string attention_output;  // of what attention adds
  std::string mlp;
  std::string mlp_output;
  std::string q;
  std::string k;
};
NormNames norm_names(const ModelConfig& config);

// Names outside the layers, and what starts the names of a layer's tensors: "model.layers.3.".
struct OuterNames {
  std::string embedding, positions, norm, head;  // positions: empty where angles are rotary
};
OuterNames outer_names(const ModelConfig& config);
std::string layer_prefix(const ModelConfig& config, std::uint32_t layer);

struct WeightInfo {
  std::string name;                  // Hugging Face's: "model.layers.3.self_attn.q_proj.weight"
  std::string gguf_name;             // "blk.3.attn_q.weight"
  std::vector<std::uint64_t> shape;  // row-major, as it is computed with: [out, in] of a linear layer, [hidden] of a norm
  bool transposed_on_disk = false;   // a Hugging Face folder has it as [in, out] (GPT-2's Conv1D)
  bool rotary_rows = false;          // GGUF files of the llama architecture reorder its rows (checkpoint.cc)
  bool unit_offset = false;          // a Hugging Face folder has it minus 1 (Gemma 2's norms); a GGUF file has it whole
};
// All weights of a model of this shape, embedding first; a head only when it is not tied.
std::vector<WeightInfo> weight_infos(const ModelConfig& config);

}  // namespace sotto::model
