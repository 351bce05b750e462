#include "model/network/whole_gradients.h"

#include "model/files/architecture.h"
#include "privacy/mechanism/grid.h"

namespace sotto::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

WholeGradients& whole_of(AutogradContext* ctx) {
  return *c10::static_intrusive_pointer_cast<WholeGradients>(ctx->saved_data["whole"].toCapsule());
}

// Inputs are kept detached: with their graph they would hold its nodes, which hold the capsule, which holds them, and no
// pass would ever be freed.
class RecordedLinear : public Function<RecordedLinear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RI, const at::Tensor& weight_OI,
                            const std::optional<at::Tensor>& bias_O, const at::Tensor& /*anchor*/,
                            const WholeGradientsPtr& whole) {
    ctx->save_for_backward({x_RI, weight_OI, bias_O.value_or(at::Tensor())});
    ctx->saved_data["whole"] = c10::IValue::make_capsule(whole);
    const at::Tensor y_RO = product(x_RI, weight_OI);
    return bias_O ? y_RO + *bias_O : y_RO;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    whole_of(ctx).linears.push_back({saved[1], saved[2], saved[0].detach(), grads[0]});
    const at::Tensor gx_RI = at::mm(grads[0].to(saved[1].scalar_type()), saved[1]).to(at::kFloat);
    return {gx_RI, {}, {}, {}, {}};
  }
};

class RecordedScale : public Function<RecordedScale> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& n_RC, const at::Tensor& weight_C,
                            const std::optional<at::Tensor>& bias_C, const at::Tensor& /*anchor*/,
                            const WholeGradientsPtr& whole) {
    ctx->save_for_backward({n_RC, weight_C, bias_C.value_or(at::Tensor())});
    ctx->saved_data["whole"] = c10::IValue::make_capsule(whole);
    const at::Tensor y_RC = at::mul(n_RC, weight_C);
    return bias_C ? y_RC + *bias_C : y_RC;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    whole_of(ctx).scales.push_back({saved[1], saved[2], saved[0].detach(), grads[0]});
    return {at::mul(grads[0], saved[1]), {}, {}, {}, {}};
  }
};

class RecordedEmbedding : public Function<RecordedEmbedding> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RC, const at::Tensor& /*anchor*/,
                            const WholeGradientsPtr& whole) {
    ctx->saved_data["whole"] = c10::IValue::make_capsule(whole);
    return x_RC.view_as(x_RC);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    whole_of(ctx).embedding_RC = grads[0];
    return {{}, {}, {}};
  }
};

std::span<const float> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// sum_ij a_ij b_ij in double, in a fixed order: not that of the machine's threads.
double frobenius(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor left = a.cpu().contiguous(), right = b.cpu().contiguous();
  const auto x = values_of(left), y = values_of(right);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

// As an argument of a Function: a tensor that is not there has no device.
std::optional<at::Tensor> if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

}  // namespace

ModelParameters::ModelParameters(const Weights& weights) {
  for (const auto& info : weight_infos(weights.config)) {
    const at::Tensor& tensor = weights.tensors.at(info.name);
    index_of.emplace(tensor.unsafeGetTensorImpl(), names.size());
    names.push_back(info.name);
    tensors.push_back(tensor);
    numbers += static_cast<std::size_t>(tensor.numel());
  }
}

at::Tensor recorded_linear(const at::Tensor& x_RI, const LinearWeights& linear, const WholeGradientsPtr& whole) {
  return RecordedLinear::apply(x_RI, linear.weight_OI.numbers_OI(), if_defined(linear.bias_O), whole->anchor, whole);
}

at::Tensor recorded_scale(const at::Tensor& n_RC, const NormWeights& norm, const WholeGradientsPtr& whole) {
  return RecordedScale::apply(n_RC, norm.weight_C, if_defined(norm.bias_C), whole->anchor, whole);
}

at::Tensor recorded_embedding(const at::Tensor& x_RC, const WholeGradientsPtr& whole) {
  return RecordedEmbedding::apply(x_RC, whole->anchor, whole);
}

UnitGradient::UnitGradient(const Weights& weights, const ModelParameters& parameters, const WholeGradients& whole,
                           const PassRows& pass, const UnitRows& unit)
    : weights_(weights),
      parameters_(parameters),
      pass_(pass),
      unit_(unit),
      whole_(whole),
      sources_(parameters.names.size()) {
  const auto source_of = [&](const at::Tensor& parameter) -> Source& {
    return sources_.at(parameters.index_of.at(parameter.unsafeGetTensorImpl()));
  };
  for (const auto& use : whole.linears) {
    source_of(use.weight_OI) = {&use, nullptr, false};
    if (use.bias_O.defined()) source_of(use.bias_O) = {&use, nullptr, true};
  }
  for (const auto& use : whole.scales) {
    source_of(use.weight_C) = {nullptr, &use, false};
    if (use.bias_C.defined()) source_of(use.bias_C) = {nullptr, &use, true};
  }
}

// The unit's part of what has one row, or several, to each row of the pass.
at::Tensor UnitGradient::of_rows(const at::Tensor& rows) const {
  const std::int64_t each = rows.size(0) / pass_.rows;
  return rows.narrow(0, unit_.start * each, unit_.length * each);
}

// sum[index[r]] += rows[r]: rows of one index are added up by a product, in an order that no thread decides.
void UnitGradient::add_rows(at::Tensor& sum, const at::Tensor& index_R, const at::Tensor& rows_RC) const {
  auto [distinct_U, place_R, counts_U] = at::_unique2(index_R, true, true, false);
  at::Tensor which_UR = at::zeros({distinct_U.size(0), index_R.size(0)}, rows_RC.options());
  which_UR.scatter_(0, place_R.unsqueeze(0), 1.0);
  sum.index_copy_(0, distinct_U, sum.index_select(0, distinct_U).add_(at::mm(which_UR, rows_RC)));
}

at::Tensor UnitGradient::of_embedding() const {
  const bool tied = weights_.config.tied_embeddings;
  at::Tensor sum = tied ? at::mm(unit_.head.derivative_NV.t(), unit_.head.x_NC) : at::zeros_like(weights_.embedding_VC);
  add_rows(sum, of_rows(pass_.ids_R), of_rows(whole_.embedding_RC) * weights_.config.embedding_scale);
  return sum;
}

at::Tensor UnitGradient::of_positions() const {
  at::Tensor sum = at::zeros_like(weights_.positions_SC);
  add_rows(sum, of_rows(pass_.position_R), of_rows(whole_.embedding_RC) * weights_.config.embedding_scale);
  return sum;
}

at::Tensor UnitGradient::formed(std::size_t parameter) const {
  const Source& source = sources_[parameter];
  if (source.linear != nullptr) {
    const at::Tensor g_RO = of_rows(source.linear->g_RO);
    return source.is_bias ? at::sum(g_RO, {0}) : at::mm(g_RO.t(), of_rows(source.linear->x_RI));
  }
  if (source.scale != nullptr) {
    const at::Tensor g_RC = of_rows(source.scale->g_RC);
    return at::sum(source.is_bias ? g_RC : g_RC * of_rows(source.scale->n_RC), {0});
  }
  const auto is = [&](const at::Tensor& one) {
    return one.unsafeGetTensorImpl() == parameters_.tensors[parameter].unsafeGetTensorImpl();
  };
  if (is(weights_.embedding_VC)) return of_embedding();
  if (weights_.positions_SC.defined() && is(weights_.positions_SC)) return of_positions();
  SOTTO_CHECK(is(weights_.head.weight_VC));
  return at::mm(unit_.head.derivative_NV.t(), unit_.head.x_NC);
}

// Of a product g^T x the squared norm is <g g^T, x x^T> (Goodfellow 2015, arXiv 1510.01799; Li et al. 2021, arXiv
// 2110.05679): for few rows less work than the product. Anything else is formed and measured.
std::vector<double> UnitGradient::squared_norms() const {
  std::vector<double> norms;
  for (std::size_t p = 0; p < sources_.size(); ++p) {
    const Source& source = sources_[p];
    if (source.linear != nullptr && !source.is_bias) {
      const at::Tensor g_RO = of_rows(source.linear->g_RO), x_RI = of_rows(source.linear->x_RI);
      if (unit_.length * (g_RO.size(1) + x_RI.size(1)) < g_RO.size(1) * x_RI.size(1)) {
        norms.push_back(frobenius(at::mm(g_RO, g_RO.t()), at::mm(x_RI, x_RI.t())));
        continue;
      }
    }
    const at::Tensor whole = formed(p).cpu().contiguous();
    norms.push_back(privacy::squared_norm(values_of(whole)));
  }
  return norms;
}

void UnitGradient::visit(const std::function<void(std::size_t, std::span<const float>)>& take) const {
  for (std::size_t p = 0; p < sources_.size(); ++p) {
    const at::Tensor whole = formed(p).cpu().contiguous();
    take(p, values_of(whole));
  }
}

}  // namespace sotto::model
