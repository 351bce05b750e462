#include "model/network/layer_functions.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>

#include "model/kernels/step_kernels.h"

namespace sotto::model {
namespace {

// Numbers that a thread should have at least, each a few instructions' work.
constexpr std::int64_t kGrain = 1 << 14;

void for_rows(std::int64_t rows, std::int64_t numbers_a_row, const auto& work) {
  at::parallel_for(0, rows, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, numbers_a_row)),
                   [&](std::int64_t first, std::int64_t end) { work(first, end); });
}

const float* numbers(const at::Tensor& x) { return x.const_data_ptr<float>(); }

}  // namespace

bool takes_layer_kernels(const at::Tensor& x) {
  // LibTorch's own setting, ATEN_CPU_CAPABILITY, can forbid them.
  static const bool wanted = at::get_cpu_capability() == "AVX512";
  static const bool fp32 = wanted && has_layer_kernels(false), bf16 = wanted && has_layer_kernels(true);
  if (!x.is_cpu()) return false;
  return x.scalar_type() == at::kBFloat16 ? bf16 : x.scalar_type() == at::kFloat && fp32;
}

Down down_product(const at::Tensor& x_RI, const at::Tensor& m_rI, double scale, bool rounds) {
  const at::Tensor x = x_RI.contiguous(), m = m_rI.contiguous();
  Down out{at::empty({x.size(0), m.size(0)}, x.options()), {}};
  if (rounds) out.rounded_RI = at::empty(x.sizes(), x.options().dtype(at::kBFloat16));
  const DownProduct p{numbers(x),
                      numbers(m),
                      out.h_Rr.data_ptr<float>(),
                      rounds ? static_cast<std::uint16_t*>(out.rounded_RI.data_ptr()) : nullptr,
                      x.size(0),
                      x.size(1),
                      m.size(0),
                      static_cast<float>(scale)};
  for_rows(p.rows, p.in * p.rank, [&](std::int64_t first, std::int64_t end) { down_product(p, first, end); });
  return out;
}

at::Tensor up_product(const at::Tensor& base_RO, const at::Tensor& h_Rr, const at::Tensor& m_rO, double scale) {
  const at::Tensor base = base_RO.contiguous(), h = h_Rr.contiguous(), m = m_rO.contiguous();
  const bool bf16 = base.scalar_type() == at::kBFloat16;
  at::Tensor y = bf16 ? at::empty(base.sizes(), h.options()) : base;
  const UpProduct p{base.const_data_ptr(),    bf16,         numbers(h),   numbers(m),
                    y.data_ptr<float>(),      base.size(0), base.size(1), h.size(1),
                    static_cast<float>(scale)};
  for_rows(p.rows, p.out * p.rank, [&](std::int64_t first, std::int64_t end) { up_product(p, first, end); });
  return y;
}

void outer_sum(const at::Tensor& h_Tr, const at::Tensor& x_TI, double scale, Order order, float* out) {
  const at::Tensor h = h_Tr.contiguous(), x = x_TI.contiguous();
  const OuterSum p{numbers(h), numbers(x), out,       order == Order::kRankLast,
                   x.size(0),  x.size(1),  h.size(1), static_cast<float>(scale)};
  const std::int64_t blocks = (p.in + OuterSum::kColumns - 1) / OuterSum::kColumns;
  for_rows(blocks, OuterSum::kColumns * p.rows * p.rank, [&](std::int64_t first, std::int64_t end) {
    outer_sum(p, first * OuterSum::kColumns, std::min(p.in, end * OuterSum::kColumns));
  });
}

NormedRows rms_norm_rows(const at::Tensor& x_RC, const at::Tensor& weight_C, double eps) {
  const at::Tensor x = x_RC.contiguous(), weight = weight_C.contiguous();
  NormedRows out{at::empty_like(x), at::empty({x.size(0)}, x.options())};
  const RmsNormRows p{numbers(x), numbers(weight), x.size(1)};
  for_rows(x.size(0), p.columns, [&](std::int64_t first, std::int64_t end) {
    rms_norm_rows(p, eps, out.out_RC.data_ptr<float>(), out.scale_R.data_ptr<float>(), first, end);
  });
  return out;
}

at::Tensor rms_norm_gradient(const at::Tensor& x_RC, const at::Tensor& weight_C, const at::Tensor& scale_R,
                             const at::Tensor& g_RC) {
  const at::Tensor x = x_RC.contiguous(), weight = weight_C.contiguous(), g = g_RC.contiguous();
  at::Tensor gx = at::empty_like(x);
  const RmsNormRows p{numbers(x), numbers(weight), x.size(1)};
  for_rows(x.size(0), p.columns, [&](std::int64_t first, std::int64_t end) {
    rms_norm_gradient(p, numbers(scale_R), numbers(g), gx.data_ptr<float>(), first, end);
  });
  return gx;
}

at::Tensor swiglu_numbers(const at::Tensor& gate_RF, const at::Tensor& up_RF) {
  const at::Tensor gate = gate_RF.contiguous(), up = up_RF.contiguous();
  at::Tensor out = at::empty_like(gate);
  for_rows(gate.numel(), 1, [&](std::int64_t first, std::int64_t end) {
    swiglu_numbers(numbers(gate), numbers(up), out.data_ptr<float>(), first, end);
  });
  return out;
}

std::pair<at::Tensor, at::Tensor> swiglu_gradient(const at::Tensor& gate_RF, const at::Tensor& up_RF,
                                                  const at::Tensor& g_RF) {
  const at::Tensor gate = gate_RF.contiguous(), up = up_RF.contiguous(), g = g_RF.contiguous();
  at::Tensor g_gate = at::empty_like(gate), g_up = at::empty_like(up);
  const SwiGluGradient p{numbers(gate), numbers(up), numbers(g), g_gate.data_ptr<float>(), g_up.data_ptr<float>()};
  for_rows(gate.numel(), 1, [&](std::int64_t first, std::int64_t end) { swiglu_gradient(p, first, end); });
  return {g_gate, g_up};
}

at::Tensor rotate_rows(const at::Tensor& x_RHD, const at::Tensor& cos_RE, const at::Tensor& sin_RE, double direction) {
  const at::Tensor x = x_RHD.contiguous(), cos = cos_RE.contiguous(),
                   sin = (direction < 0 ? at::neg(sin_RE) : sin_RE).contiguous();
  at::Tensor out = at::empty_like(x);
  const std::int64_t heads = x.size(1), dim = x.size(2);
  for_rows(x.size(0), heads * dim, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t r = first; r < end; ++r) {
      const Rotation by{numbers(cos) + r * (dim / 2), numbers(sin) + r * (dim / 2), dim};
      for (std::int64_t h = r * heads; h < (r + 1) * heads; ++h)
        rotate_head(numbers(x) + h * dim, by, out.data_ptr<float>() + h * dim);
    }
  });
  return out;
}

void causal_softmax(at::Tensor& scores, const CausalRows& rows) {
  for_rows(scores.numel() / rows.keys, rows.keys,
           [&](std::int64_t first, std::int64_t end) { causal_softmax(rows, scores.data_ptr<float>(), first, end); });
}

void causal_softmax_gradient(const at::Tensor& p, at::Tensor& g, const CausalRows& rows) {
  for_rows(p.numel() / rows.keys, rows.keys, [&](std::int64_t first, std::int64_t end) {
    causal_softmax_gradient(rows, numbers(p), g.data_ptr<float>(), first, end);
  });
}

at::Tensor losses_and_derivatives(at::Tensor& logits_NV, const at::Tensor& labels_N, const at::Tensor& weights_N) {
  at::Tensor losses = at::empty({logits_NV.size(0)}, weights_N.options());
  const LossRows p{logits_NV.data_ptr(),
                   logits_NV.scalar_type() == at::kBFloat16,
                   labels_N.const_data_ptr<std::int64_t>(),
                   numbers(weights_N),
                   losses.data_ptr<float>(),
                   logits_NV.size(1)};
  for_rows(logits_NV.size(0), p.vocabulary,
           [&](std::int64_t first, std::int64_t end) { losses_and_derivatives(p, first, end); });
  return losses;
}

}  // namespace sotto::model
