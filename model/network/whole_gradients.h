// Gradients of all parameters of a model for each unit of a pass alone. The backward pass keeps, for every linear layer,
// norm and embedding, what its gradient is a product of; a unit's gradient is formed from its own rows one parameter at a
// time, so that no whole gradient is ever held. The layers' own derivatives are those that adapters use; nothing goes
// through autograd's sums. Internal to model/: uses LibTorch. Shapes: R rows of a pass, I inputs, O outputs, C hidden size,
// V vocabulary, N labelled rows.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "model/network/functions.h"
#include "model/network/output_head.h"
#include "model/network/weights.h"

namespace sotto::model {

// The parameters of a model in weight_infos' order, which is the order of the vector of trained numbers.
struct ModelParameters {
  explicit ModelParameters(const Weights& weights);
  std::vector<std::string> names;
  std::vector<at::Tensor> tensors;                        // the model's own
  std::size_t numbers = 0;                                // in all
  std::unordered_map<const void*, std::size_t> index_of;  // by at::Tensor::unsafeGetTensorImpl()
};

struct WholeGradients : torch::CustomClassHolder {
  // Of y = x W^T + b.
  struct LinearUse {
    at::Tensor weight_OI, bias_O, x_RI, g_RO;
  };
  // Of y = n w + b, for one row or several (heads) to each row of the pass.
  struct ScaleUse {
    at::Tensor weight_C, bias_C, n_RC, g_RC;
  };
  at::Tensor anchor;  // requires a gradient: it makes autograd visit every use
  std::vector<LinearUse> linears;
  std::vector<ScaleUse> scales;
  at::Tensor embedding_RC;  // gradient by the embeddings of the pass's rows
};
using WholeGradientsPtr = c10::intrusive_ptr<WholeGradients>;

// The layers' functions, telling `whole` what their gradients are made of.
at::Tensor recorded_linear(const at::Tensor& x_RI, const LinearWeights& linear, const WholeGradientsPtr& whole);
at::Tensor recorded_scale(const at::Tensor& n_RC, const NormWeights& norm, const WholeGradientsPtr& whole);
at::Tensor recorded_embedding(const at::Tensor& x_RC, const WholeGradientsPtr& whole);

// One unit's rows of a pass, and its labelled rows at the head.
struct UnitRows {
  std::int64_t start = 0, length = 0;
  OutputHeadGradient head;
};

// Forms the unit's gradients of all parameters, in order, when asked.
class UnitGradient {
 public:
  // All must outlive it.
  UnitGradient(const Weights& weights, const ModelParameters& parameters, const WholeGradients& whole, const PassRows& pass,
               const UnitRows& unit);
  std::vector<double> squared_norms() const;  // of each parameter's gradient
  void visit(const std::function<void(std::size_t parameter, std::span<const float>)>& take) const;

 private:
  at::Tensor formed(std::size_t parameter) const;
  at::Tensor of_rows(const at::Tensor& rows) const;
  at::Tensor of_embedding() const;
  at::Tensor of_positions() const;
  void add_rows(at::Tensor& sum, const at::Tensor& index_R, const at::Tensor& rows_RC) const;

  const Weights& weights_;
  const ModelParameters& parameters_;
  const PassRows& pass_;
  const UnitRows& unit_;
  const WholeGradients& whole_;
  struct Source {
    const WholeGradients::LinearUse* linear = nullptr;
    const WholeGradients::ScaleUse* scale = nullptr;
    bool is_bias = false;
  };
  std::vector<Source> sources_;  // of each parameter; none for embeddings and head
};

}  // namespace sotto::model
