#include "model/network/lora_linear.h"

#include "model/network/layer_functions.h"
#include "model/network/step_functions.h"

namespace sotto::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// g W in fp32, in W's precision.
at::Tensor back_product(const at::Tensor& g_RO, const FrozenMatrix& weight_OI) {
  return at::mm(g_RO.to(weight_OI.scalar_type()), weight_OI.numbers_OI()).to(at::kFloat);
}

at::Tensor frozen_product(const at::Tensor& x_RI, const FrozenMatrix& weight_OI) {
  return product(x_RI, weight_OI.numbers_OI());
}

// scale * x m^T, and x in the precision of the base's products where that comes along.
Down down(const at::Tensor& x_RI, const at::Tensor& m_rI, double scale, at::ScalarType base) {
  if (takes_layer_kernels(x_RI)) return down_product(x_RI, m_rI, scale, base == at::kBFloat16 && has_layer_kernels(true));
  return {at::mm(x_RI, m_rI.t()).mul_(scale), {}};
}

// base + scale * h m in fp32.
at::Tensor up(const at::Tensor& base_RO, const at::Tensor& h_Rr, const at::Tensor& m_rO, double scale) {
  if (takes_layer_kernels(base_RO)) return up_product(base_RO, h_Rr, m_rO, scale);
  return base_RO.to(at::kFloat).addmm_(h_Rr, m_rO, 1, scale);
}

// x in the precision of the base's products.
const at::Tensor in_precision(const at::Tensor& x_RI, const at::Tensor& rounded_RI, at::ScalarType base) {
  return rounded_RI.defined() ? rounded_RI : x_RI.to(base);
}

// The frozen matrix on its way from the forward to the backward pass.
void keep(AutogradContext* ctx, const FrozenMatrix& weight_OI) { ctx->saved_data["weight"] = weight_OI.saved(); }
FrozenMatrix kept_matrix(AutogradContext* ctx) { return FrozenMatrix::from(ctx->saved_data["weight"]); }

class Linear : public Function<Linear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RI, const FrozenMatrix& weight_OI) {
    keep(ctx, weight_OI);
    return frozen_product(x_RI, weight_OI);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {back_product(grads[0], kept_matrix(ctx)), {}};
  }
};

// One layer's trained factors on their way from the forward to the backward pass: what is saved besides tensors.
void keep(AutogradContext* ctx, const LoraOnDevice& lora, const PassRowsPtr& pass, const SequenceGradientsPtr& gradients) {
  ctx->saved_data["scale"] = lora.scale;
  ctx->saved_data["a_offset"] = lora.a_offset;
  ctx->saved_data["b_offset"] = lora.b_offset;
  ctx->saved_data["m_offset"] = lora.m_offset;
  ctx->saved_data["pass"] = c10::IValue::make_capsule(pass);
  ctx->saved_data["gradients"] = c10::IValue::make_capsule(gradients);
}

// What a sequence's rows of x, h = A x and of the gradient g of scale * B h + ... give for A and B, into that sequence's
// gradient: dB = scale * g^T h and dA = (scale * g B)^T x.
class FactorGradients {
 public:
  explicit FactorGradients(AutogradContext* ctx)
      : scale_(ctx->saved_data["scale"].toDouble()),
        a_offset_(ctx->saved_data["a_offset"].toInt()),
        b_offset_(ctx->saved_data["b_offset"].toInt()),
        m_offset_(ctx->saved_data["m_offset"].toInt()),
        pass_(c10::static_intrusive_pointer_cast<PassRows>(ctx->saved_data["pass"].toCapsule())),
        gradients_(c10::static_intrusive_pointer_cast<SequenceGradients>(ctx->saved_data["gradients"].toCapsule())) {}

  double scale() const { return scale_; }

  // gh_Rr = scale * g B; kept_RI, the inputs of A, where A is trained.
  void add_factors(const at::Tensor& g_RO, const at::Tensor& h_Rr, const at::Tensor& gh_Rr,
                   const at::Tensor& kept_RI) const {
    for_each_sequence([&](const at::Tensor& gradient_P, const RowSpan& span) {
      if (takes_layer_kernels(g_RO) && gradient_P.is_cpu()) {
        float* const gradient = gradient_P.data_ptr<float>();
        if (b_offset_ >= 0) outer_sum(rows(h_Rr, span), rows(g_RO, span), scale_, Order::kRankLast, gradient + b_offset_);
        if (a_offset_ >= 0) outer_sum(rows(gh_Rr, span), rows(kept_RI, span), 1, Order::kRankFirst, gradient + a_offset_);
        return;
      }
      // As (h^T g)^T: with the few rows of h in front the product is three times as fast.
      if (b_offset_ >= 0)
        gradient_P.narrow(0, b_offset_, g_RO.size(1) * h_Rr.size(1))
            .view({g_RO.size(1), h_Rr.size(1)})
            .copy_(at::mm(rows(h_Rr, span).t(), rows(g_RO, span)).mul_(scale_).t());
      if (a_offset_ < 0) return;
      at::Tensor a_block =
          gradient_P.narrow(0, a_offset_, h_Rr.size(1) * kept_RI.size(1)).view({h_Rr.size(1), kept_RI.size(1)});
      if (a_block.device() == gh_Rr.device())
        at::mm_out(a_block, rows(gh_Rr, span).t(), rows(kept_RI, span));
      else
        a_block.copy_(at::mm(rows(gh_Rr, span).t(), rows(kept_RI, span)));
    });
  }

  // DoRA's dm, from the gradient of each row's output with respect to its m.
  void add_magnitudes(const at::Tensor& gm_RO) const {
    for_each_sequence([&](const at::Tensor& gradient_P, const RowSpan& span) {
      gradient_P.narrow(0, m_offset_, gm_RO.size(1)).copy_(at::sum(rows(gm_RO, span), {0}));
    });
  }

 private:
  static at::Tensor rows(const at::Tensor& of_R, const RowSpan& span) { return of_R.narrow(0, span.start, span.length); }

  void for_each_sequence(const auto& add) const {
    for (std::size_t n = 0; n < pass_->spans.size(); ++n)
      add(gradients_->rows_NP.select(0, static_cast<std::int64_t>(n)), pass_->spans[n]);
  }

  double scale_;
  std::int64_t a_offset_, b_offset_, m_offset_;
  PassRowsPtr pass_;
  SequenceGradientsPtr gradients_;
};

class LoraLinear : public Function<LoraLinear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RI, const FrozenMatrix& weight_OI,
                            const at::Tensor& /*anchor*/, const std::optional<at::Tensor>& dropout_RI,
                            const LoraOnDevice& lora, const PassRowsPtr& pass, const SequenceGradientsPtr& gradients) {
    const at::Tensor kept_RI = dropout_RI ? at::mul(x_RI, *dropout_RI) : x_RI;
    const at::Tensor numbers_OI = weight_OI.numbers_OI();
    const at::ScalarType base = numbers_OI.scalar_type();
    const auto [h_Rr, rounded_RI] = down(kept_RI, lora.a_rI, 1, base);
    const bool trains_a = lora.a_offset >= 0;
    ctx->save_for_backward(
        {lora.a_rI, lora.b_rO, h_Rr, trains_a ? kept_RI : at::Tensor(), dropout_RI.value_or(at::Tensor())});
    keep(ctx, weight_OI);
    keep(ctx, lora, pass, gradients);
    return up(at::mm(in_precision(x_RI, dropout_RI ? at::Tensor() : rounded_RI, base), numbers_OI.t()), h_Rr, lora.b_rO,
              lora.scale);
  }

  // dx = g W + (scale * g B) A.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &a_rI = saved[0], &b_rO = saved[1], &h_Rr = saved[2], &kept_RI = saved[3], &dropout_RI = saved[4];
    const FactorGradients factors(ctx);
    const at::Tensor& g_RO = grads[0];
    const FrozenMatrix weight_OI = kept_matrix(ctx);
    const auto [gh_Rr, rounded_RO] = down(g_RO, b_rO, factors.scale(), weight_OI.scalar_type());
    factors.add_factors(g_RO, h_Rr, gh_Rr, kept_RI);
    if (!ctx->needs_input_grad(0)) return {{}, {}, {}, {}, {}, {}, {}};
    const at::Tensor gx_RI = at::mm(in_precision(g_RO, rounded_RO, weight_OI.scalar_type()), weight_OI.numbers_OI());
    if (!dropout_RI.defined()) return {up(gx_RI, gh_Rr, a_rI, 1), {}, {}, {}, {}, {}, {}};
    return {gx_RI.to(at::kFloat).addcmul_(at::mm(gh_Rr, a_rI), dropout_RI), {}, {}, {}, {}, {}, {}};
  }
};

// y = m / n * u, u = W x + scale * B A x, with n = |W + scale * B A| taken for a constant in the derivative (arXiv
// 2402.09353, section 4.3). With dropout, as PEFT has it: y = W x - W x' + m / n * u', x' the input of which some is
// dropped.
class DoraLinear : public Function<DoraLinear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RI, const FrozenMatrix& weight_OI,
                            const at::Tensor& /*anchor*/, const std::optional<at::Tensor>& dropout_RI,
                            const LoraOnDevice& lora, const PassRowsPtr& pass, const SequenceGradientsPtr& gradients) {
    const at::Tensor kept_RI = dropout_RI ? at::mul(x_RI, *dropout_RI) : x_RI;
    const at::Tensor h_Rr = at::mm(kept_RI, lora.a_rI.t());
    const at::Tensor base_RO = frozen_product(kept_RI, weight_OI);
    const at::Tensor u_RO = at::addmm(base_RO, h_Rr, lora.b_Or.t(), 1, lora.scale);
    ctx->save_for_backward(
        {lora.a_rI, lora.b_Or, h_Rr, kept_RI, dropout_RI.value_or(at::Tensor()), lora.gain_O, lora.norm_O, u_RO});
    keep(ctx, weight_OI);
    keep(ctx, lora, pass, gradients);
    at::Tensor y_RO = at::mul(u_RO, lora.gain_O);
    return dropout_RI ? y_RO.add_(frozen_product(x_RI, weight_OI)).sub_(base_RO) : y_RO;
  }

  // With g' = m / n * g: dm = g u / n, A and B as in LoRA from g', dx' = g' W + (scale * g' B) A.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &a_rI = saved[0], &b_Or = saved[1], &h_Rr = saved[2], &kept_RI = saved[3], &dropout_RI = saved[4],
               &gain_O = saved[5], &norm_O = saved[6], &u_RO = saved[7];
    const FactorGradients factors(ctx);
    factors.add_magnitudes(at::mul(grads[0], u_RO).div_(norm_O));
    const at::Tensor g_RO = at::mul(grads[0], gain_O);
    const at::Tensor gh_Rr = at::mm(g_RO, b_Or).mul_(factors.scale());
    factors.add_factors(g_RO, h_Rr, gh_Rr, kept_RI);
    if (!ctx->needs_input_grad(0)) return {{}, {}, {}, {}, {}, {}, {}};
    at::Tensor gx_RI = back_product(g_RO, kept_matrix(ctx)).addmm_(gh_Rr, a_rI);
    if (!dropout_RI.defined()) return {gx_RI, {}, {}, {}, {}, {}, {}};
    const at::Tensor whole_RI = back_product(grads[0], kept_matrix(ctx));
    return {gx_RI.sub_(whole_RI).mul_(dropout_RI).add_(whole_RI), {}, {}, {}, {}, {}, {}};
  }
};

class PromptRows : public Function<PromptRows> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RC, const at::Tensor& /*anchor*/,
                            const PassRowsPtr& pass, const SequenceGradientsPtr& gradients) {
    ctx->saved_data["pass"] = c10::IValue::make_capsule(pass);
    ctx->saved_data["gradients"] = c10::IValue::make_capsule(gradients);
    return x_RC.view_as(x_RC);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto pass = c10::static_intrusive_pointer_cast<PassRows>(ctx->saved_data["pass"].toCapsule());
    const auto gradients = c10::static_intrusive_pointer_cast<SequenceGradients>(ctx->saved_data["gradients"].toCapsule());
    const std::int64_t tokens = gradients->rows_NP.size(1) / grads[0].size(1);
    for (std::size_t n = 0; n < pass->spans.size(); ++n)
      gradients->rows_NP.select(0, static_cast<std::int64_t>(n))
          .view({tokens, grads[0].size(1)})
          .copy_(grads[0].narrow(0, pass->spans[n].start, tokens));
    return {{}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor product(const at::Tensor& x_RI, const at::Tensor& weight_OI) {
  if (x_RI.size(0) <= kFewRows && takes_step_kernels(weight_OI)) return step_product(x_RI, weight_OI);
  return at::mm(x_RI.to(weight_OI.scalar_type()), weight_OI.t()).to(at::kFloat);
}

at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI) {
  return at::GradMode::is_enabled() ? Linear::apply(x_RI, weight_OI) : frozen_product(x_RI, weight_OI);
}

at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI, const LoraOnDevice& lora) {
  at::Tensor y_RO = frozen_product(x_RI, weight_OI).addmm_(at::mm(x_RI, lora.a_rI.t()), lora.b_Or.t(), 1, lora.scale);
  return lora.gain_O.defined() ? y_RO.mul_(lora.gain_O) : y_RO;
}

at::Tensor apply_linear(const at::Tensor& x_RI, const FrozenMatrix& weight_OI, const LoraOnDevice& lora,
                        const PassRowsPtr& pass, const SequenceGradientsPtr& gradients,
                        const std::optional<at::Tensor>& dropout_RI) {
  if (lora.gain_O.defined()) return DoraLinear::apply(x_RI, weight_OI, gradients->anchor, dropout_RI, lora, pass, gradients);
  return LoraLinear::apply(x_RI, weight_OI, gradients->anchor, dropout_RI, lora, pass, gradients);
}

at::Tensor with_prompt_gradient(const at::Tensor& x_RC, const PassRowsPtr& pass, const SequenceGradientsPtr& gradients) {
  return PromptRows::apply(x_RC, gradients->anchor, pass, gradients);
}

}  // namespace sotto::model
