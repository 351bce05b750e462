// A model's weights, and an adapter's, as tensors on a device. Internal to model/: uses LibTorch. Shapes as in functions.h.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "model/adapter/adapter.h"
#include "model/network/frozen_matrix.h"
#include "model/network/lora_linear.h"
#include "model/network/output_head.h"

namespace sotto::model {

struct NormWeights {
  at::Tensor weight_C;  // fp32; undefined: there is no such norm
  at::Tensor bias_C;    // of a LayerNorm
};

struct LinearWeights {
  FrozenMatrix weight_OI;  // in the base's precision; undefined: there is no such layer
  at::Tensor bias_O;       // fp32; undefined: none
};

struct LayerWeights {
  at::Device device = at::kCPU;
  NormWeights attention_norm, mlp_norm;                // of what goes into attention and MLP
  NormWeights attention_output_norm, mlp_output_norm;  // of what they add
  NormWeights q_norm, k_norm;                          // of each head's queries and keys
  std::array<LinearWeights, kLinearKinds> linears;
};

struct Weights {
  ModelConfig config;
  at::Tensor embedding_VC;  // fp32, as everything outside the layers' linears
  at::Tensor positions_SC;  // undefined where angles are rotary
  std::vector<LayerWeights> layers;
  NormWeights norm;
  OutputHead head;  // its matrix is the embedding itself when tied
  std::uint64_t bytes = 0;
  std::map<std::string, at::Tensor> tensors;                       // all of the above, by Hugging Face's names, but for ...
  std::map<std::string, c10::intrusive_ptr<PackedMatrix>> packed;  // ... matrices of layers that are kept packed
};

// How the base lies in memory. Of several devices each has a run of the layers, the first one the embeddings, the last one
// the head.
struct BaseForm {
  at::ScalarType linear_type = at::kFloat;  // of the layers' matrices, in products
  std::vector<at::Device> devices = {at::kCPU};
  bool keeps_blocks = false;  // matrices of layers stay packed as the file has them; of a GGUF file alone
};
Weights load_weights(std::shared_ptr<const Checkpoint> checkpoint, const BaseForm& form);

// Before a training step: makes the head's matrix in the precision of the base's linears, if it is not there.
void prepare_head(Weights& weights);

// The same model with parameters of an adapter in place of its own; what is not replaced is shared, not copied.
Weights with_replaced(const Weights& base, const std::map<std::string, Parameter>& replaced);

struct AdapterOnDevice {
  std::vector<std::array<std::optional<LoraOnDevice>, kLinearKinds>> layers;  // one for each layer of the model
  std::size_t lowest_layer = 0;                                               // with LoRA on it; 0 under a prompt
  at::Tensor prompt_PC;                                                       // fp32; undefined: none
};

// `state` fits the model. `part` says for which factors gradients have a place; A and B start as `state` has them, each
// beside its matrix.
AdapterOnDevice put_on_device(const AdapterState& state, TrainedPart part, const Weights& weights);

// DoRA: |W + scale * B A| of each row of each module, and the factor m / |W + scale * B A|, for the adapter that was put on
// device before. Their gradients have a place after those of all factors.
void put_magnitudes(AdapterOnDevice& on_device, const Adapter& adapter, TrainedPart part, const Weights& weights);

// |W + scale * B A| of each row of W: what DoRA's magnitude begins with.
at::Tensor row_norms(const FrozenMatrix& weight_OI, const LoraOnDevice& lora);

}  // namespace sotto::model
