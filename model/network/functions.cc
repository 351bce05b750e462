#include "model/network/functions.h"

#include <algorithm>

#include "base/check.h"
#include "model/network/layer_functions.h"
#include "model/network/step_functions.h"

namespace sotto::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

class RmsNorm : public Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RC, const at::Tensor& weight_C, double eps) {
    if (takes_layer_kernels(x_RC)) {
      auto [out_RC, scale_R] = rms_norm_rows(x_RC, weight_C, eps);
      ctx->save_for_backward({x_RC, weight_C, scale_R});
      return out_RC;
    }
    const at::Tensor scale_R1 = at::mean(at::square(x_RC), {1}, true).add_(eps).rsqrt_();
    ctx->save_for_backward({x_RC, weight_C, scale_R1});
    return at::mul(x_RC, scale_R1).mul_(weight_C);
  }

  // With s = (mean(x^2) + eps)^(-1/2): dx = s w g - x s^3 mean(w g x).
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &x_RC = saved[0], &weight_C = saved[1], &scale_R1 = saved[2];
    if (takes_layer_kernels(x_RC)) return {rms_norm_gradient(x_RC, weight_C, scale_R1, grads[0]), {}, {}};
    at::Tensor g_RC = at::mul(grads[0], weight_C);
    const at::Tensor pull_R1 = at::mean(at::mul(g_RC, x_RC), {1}, true).mul_(at::pow(scale_R1, 3));
    return {g_RC.mul_(scale_R1).addcmul_(x_RC, pull_R1, -1), {}, {}};
  }
};

class LayerNorm : public Function<LayerNorm> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RC, const at::Tensor& weight_C,
                            const at::Tensor& bias_C, double eps) {
    const at::Tensor centred_RC = at::sub(x_RC, at::mean(x_RC, {1}, true));
    const at::Tensor scale_R1 = at::mean(at::square(centred_RC), {1}, true).add_(eps).rsqrt_();
    const at::Tensor unit_RC = at::mul(centred_RC, scale_R1);
    ctx->save_for_backward({unit_RC, weight_C, scale_R1});
    return at::mul(unit_RC, weight_C).add_(bias_C);
  }

  // With u = (x - mean(x)) s and h = w g: dx = s (h - mean(h) - u mean(h u)).
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &unit_RC = saved[0], &weight_C = saved[1], &scale_R1 = saved[2];
    at::Tensor h_RC = at::mul(grads[0], weight_C);
    const at::Tensor pull_R1 = at::mean(at::mul(h_RC, unit_RC), {1}, true), mean_R1 = at::mean(h_RC, {1}, true);
    return {h_RC.sub_(mean_R1).addcmul_(unit_RC, pull_R1, -1).mul_(scale_R1), {}, {}, {}};
  }
};

class SwiGlu : public Function<SwiGlu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_RF, const at::Tensor& up_RF) {
    ctx->save_for_backward({gate_RF, up_RF});
    return takes_layer_kernels(gate_RF) ? swiglu_numbers(gate_RF, up_RF) : at::silu(gate_RF).mul_(up_RF);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate_RF = saved[0], &up_RF = saved[1];
    if (takes_layer_kernels(gate_RF)) {
      auto [g_gate_RF, g_up_RF] = swiglu_gradient(gate_RF, up_RF, grads[0]);
      return {g_gate_RF, g_up_RF};
    }
    return {at::silu_backward(at::mul(grads[0], up_RF), gate_RF), at::silu(gate_RF).mul_(grads[0])};
  }
};

class Gelu : public Function<Gelu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_RF) {
    ctx->save_for_backward({x_RF});
    return at::gelu(x_RF, "tanh");
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    return {at::gelu_backward(grads[0], ctx->get_saved_variables()[0], "tanh")};
  }
};

class GeGlu : public Function<GeGlu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_RF, const at::Tensor& up_RF) {
    ctx->save_for_backward({gate_RF, up_RF});
    return at::gelu(gate_RF, "tanh").mul_(up_RF);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate_RF = saved[0], &up_RF = saved[1];
    return {at::gelu_backward(at::mul(grads[0], up_RF), gate_RF, "tanh"), at::gelu(gate_RF, "tanh").mul_(grads[0])};
  }
};

// Rows of one sequence, head by head: the G query heads that share a key/value head stand one after another, so that one
// batched product per key/value head serves them all.
at::Tensor queries_by_key(const at::Tensor& x_RHD, const RowSpan& span, std::int64_t kv_heads) {
  const auto heads = x_RHD.size(1), dim = x_RHD.size(2);
  return x_RHD.narrow(0, span.start, span.length)
      .view({span.length, kv_heads, heads / kv_heads, dim})
      .permute({1, 2, 0, 3})
      .reshape({kv_heads, heads / kv_heads * span.length, dim});  // [K, G T, D]
}

void put_queries(const at::Tensor& into_RHD, const RowSpan& span, const at::Tensor& x_KxGTxD) {
  const auto kv_heads = x_KxGTxD.size(0), heads = into_RHD.size(1), dim = into_RHD.size(2);
  into_RHD.narrow(0, span.start, span.length)
      .view({span.length, kv_heads, heads / kv_heads, dim})
      .copy_(x_KxGTxD.view({kv_heads, heads / kv_heads, span.length, dim}).permute({2, 0, 1, 3}));
}

at::Tensor keys(const at::Tensor& x_RKD, const RowSpan& span) {
  return x_RKD.narrow(0, span.start, span.length).transpose(0, 1);  // [K, T, D]
}

const at::Tensor& mask_of(const RowSpan& span, const AttentionForm& form) {
  return form.window > 0 ? span.sliding_mask_GTxT : span.mask_GTxT;
}

// c tanh(s / c) of a layer with a soft cap; undefined otherwise.
at::Tensor capped_scores(const at::Tensor& q_KxGTxD, const at::Tensor& k_KSD, const AttentionForm& form) {
  if (form.softcap == 0) return {};
  return at::bmm(q_KxGTxD, k_KSD.transpose(1, 2)).mul_(form.scale / form.softcap).tanh_().mul_(form.softcap);
}

at::Tensor weights(const at::Tensor& q_KxGTxD, const at::Tensor& k_KSD, const at::Tensor& mask, const AttentionForm& form) {
  at::Tensor scores = capped_scores(q_KxGTxD, k_KSD, form);
  if (scores.defined())
    scores = mask.defined() ? scores.add_(mask.unsqueeze(0)) : scores;
  else
    scores = mask.defined() ? at::baddbmm(mask.unsqueeze(0), q_KxGTxD, k_KSD.transpose(1, 2), 1, form.scale)
                            : at::bmm(q_KxGTxD, k_KSD.transpose(1, 2)).mul_(form.scale);
  return at::softmax(scores, -1);  // [K, G T, S]
}

// Queries of a sequence that are worked on together, and the keys that any of them sees: no product is made of what lies
// behind the last query's place, or before the first one's window.
struct QueryBlock {
  RowSpan queries, keys;
  CausalRows rows;
};

// Of a sequence alone, whatever stands beside it. Where masks are needed, one block that has them.
std::vector<QueryBlock> query_blocks(const RowSpan& span, const AttentionForm& form, const at::Tensor& like) {
  constexpr std::int64_t kQueries = 128;
  const bool whole = !masks_by_position(like, form.softcap);
  std::vector<QueryBlock> blocks;
  for (std::int64_t begin = 0, end = 0; begin < span.length; begin = end) {
    end = whole ? span.length : std::min(span.length, begin + kQueries);
    const std::int64_t oldest = whole || form.window == 0 ? 0 : std::max<std::int64_t>(0, begin + 1 - form.window);
    QueryBlock block{span, span, {end - begin, end - oldest, begin - oldest, form.window, static_cast<float>(form.scale)}};
    block.queries.start += begin;
    block.queries.length = end - begin;
    block.keys.start += oldest;
    block.keys.length = end - oldest;
    blocks.push_back(std::move(block));
  }
  return blocks;
}

// P of a block. q_KxGTxD and k_KSD are its queries and keys.
at::Tensor causal_weights(const at::Tensor& q_KxGTxD, const at::Tensor& k_KSD, const QueryBlock& block,
                          const AttentionForm& form) {
  if (!masks_by_position(q_KxGTxD, form.softcap)) {
    const at::Tensor& mask = mask_of(block.queries, form);
    SOTTO_CHECK(mask.defined());
    return weights(q_KxGTxD, k_KSD, mask, form);
  }
  at::Tensor scores = at::bmm(q_KxGTxD, k_KSD.transpose(1, 2));
  causal_softmax(scores, block.rows);
  return scores;
}

// p (g - sum(g p)), per row. LibTorch's own kernel for it gives other bits at another number of threads (measured, 2.13).
at::Tensor softmax_backward(const at::Tensor& g, const at::Tensor& p) {
  at::Tensor gp = at::mul(g, p);
  const at::Tensor sum = at::sum(gp, {-1}, true);
  return gp.addcmul_(p, sum, -1);
}

// Causal attention of one sequence to itself, q and k rotated, without derivative. LibTorch's own skips what is masked.
void put_causal_attention(const at::Tensor& into_RHD, const at::Tensor& q_RHD, const at::Tensor& k_RKD,
                          const at::Tensor& v_RKD, const RowSpan& span, const AttentionForm& form) {
  if (form.softcap == 0 && (form.window == 0 || span.length <= form.window)) {
    const auto by_head = [&](const at::Tensor& x_RHD) { return keys(x_RHD, span).unsqueeze(0); };  // [1, H, T, D]
    const at::Tensor seen = at::scaled_dot_product_attention(by_head(q_RHD), by_head(k_RKD), by_head(v_RKD), {}, 0, true,
                                                             form.scale, q_RHD.size(1) != k_RKD.size(1));
    keys(into_RHD, span).copy_(seen.squeeze(0));
    return;
  }
  for (const auto& block : query_blocks(span, form, q_RHD)) {
    const at::Tensor q = queries_by_key(q_RHD, block.queries, k_RKD.size(1));
    put_queries(into_RHD, block.queries,
                at::bmm(causal_weights(q, keys(k_RKD, block.keys), block, form), keys(v_RKD, block.keys)));
  }
}

// Whether P of a sequence stays for the backward pass: of a long one it is as large as all its other activations, and is
// computed again.
bool keeps_weights(const RowSpan& span) { return span.length <= 256; }

class Attention : public Function<Attention> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD,
                            const PassRowsPtr& pass, const AttentionForm& form) {
    const at::Tensor q = rotate(q_RHD, pass->cos_RE, pass->sin_RE, 1), k = rotate(k_RKD, pass->cos_RE, pass->sin_RE, 1);
    variable_list saved = {q, k, v_RKD};
    ctx->saved_data["pass"] = c10::IValue::make_capsule(pass);
    ctx->saved_data["scale"] = form.scale;
    ctx->saved_data["softcap"] = form.softcap;
    ctx->saved_data["window"] = form.window;
    at::Tensor out_RHD = at::zeros_like(q);
    for (const auto& span : pass->spans)
      for (const auto& block : query_blocks(span, form, q)) {
        const at::Tensor p = causal_weights(queries_by_key(q, block.queries, k.size(1)), keys(k, block.keys), block, form);
        put_queries(out_RHD, block.queries, at::bmm(p, keys(v_RKD, block.keys)));
        if (keeps_weights(span)) saved.push_back(p);
      }
    ctx->save_for_backward(std::move(saved));
    return out_RHD;
  }

  // With S = softcap(scale Q K^T), P = softmax(S) and O = P V, from the gradient of O: dV = P^T dO, dS = P (dP - sum(dP P))
  // with dP = dO V^T, times the soft cap's derivative 1 - (S / c)^2; dQ = scale dS K, dK = scale dS^T Q.
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &q_RHD = saved[0], &k_RKD = saved[1], &v_RKD = saved[2];
    const auto pass = c10::static_intrusive_pointer_cast<PassRows>(ctx->saved_data["pass"].toCapsule());
    const AttentionForm form{ctx->saved_data["scale"].toDouble(), ctx->saved_data["softcap"].toDouble(),
                             ctx->saved_data["window"].toInt()};
    std::size_t kept = 3;
    at::Tensor gq = at::zeros_like(q_RHD), gk = at::zeros_like(k_RKD), gv = at::zeros_like(v_RKD);
    for (const auto& span : pass->spans)
      for (const auto& block : query_blocks(span, form, q_RHD)) {
        const at::Tensor q = queries_by_key(q_RHD, block.queries, k_RKD.size(1)), k = keys(k_RKD, block.keys);
        const at::Tensor g = queries_by_key(grads[0], block.queries, k_RKD.size(1));
        const at::Tensor p = keeps_weights(span) ? saved[kept++] : causal_weights(q, k, block, form);
        keys(gv, block.keys).add_(at::bmm(p.transpose(1, 2), g));
        at::Tensor gs = at::bmm(g, keys(v_RKD, block.keys).transpose(1, 2));
        if (masks_by_position(gs, form.softcap)) {
          causal_softmax_gradient(p, gs, block.rows);
        } else {
          gs = softmax_backward(gs, p).mul_(form.scale);
          if (const at::Tensor capped = capped_scores(q, k, form); capped.defined())
            gs.addcmul_(gs, at::square(capped), -1 / (form.softcap * form.softcap));
        }
        put_queries(gq, block.queries, at::bmm(gs, k));
        keys(gk, block.keys).add_(at::bmm(gs.transpose(1, 2), q));
      }
    return {rotate(gq, pass->cos_RE, pass->sin_RE, -1), rotate(gk, pass->cos_RE, pass->sin_RE, -1), gv, {}, {}};
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> rotary_angles(const at::Tensor& positions_R, std::int64_t head_dim, double theta,
                                                std::span<const float> divisors) {
  const auto options = positions_R.options().dtype(at::kFloat);
  const at::Tensor exponent_E = at::arange(0, head_dim, 2, options).div_(static_cast<double>(head_dim));
  at::Tensor frequency_E = at::reciprocal(at::pow(theta, exponent_E));
  if (!divisors.empty())
    frequency_E.div_(at::tensor(at::ArrayRef<float>(divisors.data(), divisors.size()), at::kFloat).to(frequency_E.device()));
  const at::Tensor angle_RE = positions_R.to(at::kFloat).unsqueeze(1) * frequency_E;
  return {at::cos(angle_RE), at::sin(angle_RE)};
}

at::Tensor rms_norm(const at::Tensor& x_RC, const at::Tensor& weight_C, double eps) {
  if (!at::GradMode::is_enabled() && takes_layer_kernels(x_RC)) return rms_norm_rows(x_RC, weight_C, eps).out_RC;
  return RmsNorm::apply(x_RC, weight_C, eps);
}

at::Tensor layer_norm(const at::Tensor& x_RC, const at::Tensor& weight_C, const at::Tensor& bias_C, double eps) {
  return LayerNorm::apply(x_RC, weight_C, bias_C, eps);
}

at::Tensor swiglu(const at::Tensor& gate_RF, const at::Tensor& up_RF) { return SwiGlu::apply(gate_RF, up_RF); }
at::Tensor gelu_tanh(const at::Tensor& x_RF) { return Gelu::apply(x_RF); }
at::Tensor geglu(const at::Tensor& gate_RF, const at::Tensor& up_RF) { return GeGlu::apply(gate_RF, up_RF); }

at::Tensor rotate(const at::Tensor& x_RHD, const at::Tensor& cos_RE, const at::Tensor& sin_RE, double direction) {
  if (!cos_RE.defined()) return x_RHD;
  if (takes_layer_kernels(x_RHD)) return rotate_rows(x_RHD, cos_RE, sin_RE, direction);
  const auto half = x_RHD.size(2) / 2;
  const at::Tensor cos = cos_RE.unsqueeze(1), sin = sin_RE.unsqueeze(1);  // [R, 1, E]: the same for all heads
  const at::Tensor first = x_RHD.narrow(2, 0, half), second = x_RHD.narrow(2, half, half);
  at::Tensor out_RHD = at::empty(x_RHD.sizes(), x_RHD.options());
  at::Tensor out_first = out_RHD.narrow(2, 0, half), out_second = out_RHD.narrow(2, half, half);
  at::mul_out(out_first, first, cos).addcmul_(second, sin, -direction);
  at::mul_out(out_second, second, cos).addcmul_(first, sin, direction);
  return out_RHD;
}

bool masks_by_position(const at::Tensor& like, double softcap) { return softcap == 0 && takes_layer_kernels(like); }

at::Tensor attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const PassRowsPtr& pass,
                     const AttentionForm& form) {
  return Attention::apply(q_RHD, k_RKD, v_RKD, pass, form);
}

at::Tensor inference_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD,
                               const PassRowsPtr& pass, const AttentionForm& form) {
  const at::Tensor q = rotate(q_RHD, pass->cos_RE, pass->sin_RE, 1), k = rotate(k_RKD, pass->cos_RE, pass->sin_RE, 1);
  at::Tensor out_RHD = at::zeros_like(q);
  for (const auto& span : pass->spans) put_causal_attention(out_RHD, q, k, v_RKD, span, form);
  return out_RHD;
}

at::Tensor cached_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD, const CachedPass& at,
                            const AttentionForm& form) {
  const PassRows& pass = at.pass;
  const bool step = static_cast<std::size_t>(pass.rows) == pass.spans.size();  // every row is a sequence's next
  if (step && takes_step_kernels(at.caches[0]->k_KSD)) return step_cached_attention(q_RHD, k_RKD, v_RKD, at, form);
  const at::Tensor q = rotate(q_RHD, pass.cos_RE, pass.sin_RE, 1), k = rotate(k_RKD, pass.cos_RE, pass.sin_RE, 1);
  for (std::size_t i = 0; i < pass.spans.size(); ++i) {
    const auto& span = pass.spans[i];
    LayerCache& cache = *at.caches[i];
    cache.k_KSD.narrow(1, cache.used, span.length).copy_(keys(k, span));
    cache.v_KSD.narrow(1, cache.used, span.length).copy_(keys(v_RKD, span));
    cache.used += span.length;
  }
  at::Tensor out_RHD = at::zeros_like(q);
  for (std::size_t i = 0; i < pass.spans.size(); ++i) {
    const auto& span = pass.spans[i];
    const LayerCache& cache = *at.caches[i];
    // Several new rows come only first, into an empty cache; a single one sees everything before it that its window has.
    if (span.length == cache.used) {
      put_causal_attention(out_RHD, q, k, v_RKD, span, form);
      continue;
    }
    const auto seen = form.window == 0 ? cache.used : std::min(cache.used, form.window);
    put_queries(
        out_RHD, span,
        at::bmm(weights(queries_by_key(q, span, k.size(1)), cache.k_KSD.narrow(1, cache.used - seen, seen), {}, form),
                cache.v_KSD.narrow(1, cache.used - seen, seen)));
  }
  return out_RHD;
}

}  // namespace sotto::model
