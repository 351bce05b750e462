#include "model/network/step_functions.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace sotto::model {
namespace {

// Work that a thread should have at least, in multiplications.
constexpr std::int64_t kGrain = 1 << 17;

}  // namespace

bool takes_step_kernels(const at::Tensor& weight_OI) {
  static const bool fp32 = has_step_kernels(false), bf16 = has_step_kernels(true);
  if (!weight_OI.is_cpu()) return false;
  return weight_OI.scalar_type() == at::kBFloat16 ? bf16 : weight_OI.scalar_type() == at::kFloat && fp32;
}

at::Tensor step_product(const at::Tensor& x_RI, const at::Tensor& weight_OI) {
  const at::Tensor x = x_RI.contiguous(), w = weight_OI.contiguous();
  at::Tensor y = at::empty({x.size(0), w.size(0)}, x.options());
  const FewRows product{x.const_data_ptr<float>(),
                        w.const_data_ptr(),
                        w.scalar_type() == at::kBFloat16,
                        y.data_ptr<float>(),
                        x.size(0),
                        x.size(1),
                        w.size(0)};
  at::parallel_for(0, product.out, std::max<std::int64_t>(4, kGrain / (product.rows * product.in)),
                   [&](std::int64_t first, std::int64_t end) { few_rows_product(product, first, end); });
  return y;
}

at::Tensor step_cached_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD,
                                 const CachedPass& at, const AttentionForm& form) {
  const at::Tensor q = q_RHD.contiguous(), k = k_RKD.contiguous(), v = v_RKD.contiguous();
  at::Tensor out = at::zeros_like(q);
  const std::int64_t heads = q.size(1), dim = q.size(2), kv_heads = k.size(1), group = heads / kv_heads;
  const bool rotates = at.pass.cos_RE.defined();
  const float* const cos = rotates ? at.pass.cos_RE.const_data_ptr<float>() : nullptr;
  const float* const sin = rotates ? at.pass.sin_RE.const_data_ptr<float>() : nullptr;
  const auto one_head = [&](std::size_t row, std::int64_t head, float* rotated_q) {
    const LayerCache& cache = *at.caches[row];
    const auto r = static_cast<std::int64_t>(row);
    const Rotation by{rotates ? cos + r * (dim / 2) : nullptr, rotates ? sin + r * (dim / 2) : nullptr, dim};
    const std::int64_t first = head * cache.k_KSD.size(1),
                       seen = form.window == 0 ? cache.used + 1 : std::min(cache.used + 1, form.window);
    const std::int64_t fresh = (first + cache.used) * dim, oldest = (first + cache.used + 1 - seen) * dim;
    float* const keys = cache.k_KSD.data_ptr<float>();
    float* const values = cache.v_KSD.data_ptr<float>();
    rotate_head(k.const_data_ptr<float>() + (r * kv_heads + head) * dim, by, keys + fresh);
    std::copy_n(v.const_data_ptr<float>() + (r * kv_heads + head) * dim, dim, values + fresh);
    const std::int64_t queries = (r * heads + head * group) * dim;
    for (std::int64_t g = 0; g < group; ++g)
      rotate_head(q.const_data_ptr<float>() + queries + g * dim, by, rotated_q + g * dim);
    step_attention({rotated_q, keys + oldest, values + oldest, out.data_ptr<float>() + queries, group, seen, dim, form.scale,
                    form.softcap});
  };
  const auto work = static_cast<std::int64_t>(at.caches.size()) * kv_heads;
  at::parallel_for(0, work, std::max<std::int64_t>(1, kGrain / (2 * group * dim * (at.caches[0]->used + 1))),
                   [&](std::int64_t begin, std::int64_t end) {
                     std::vector<float> rotated_q(static_cast<std::size_t>(group * dim));
                     for (std::int64_t i = begin; i < end; ++i)
                       one_head(static_cast<std::size_t>(i / kv_heads), i % kv_heads, rotated_q.data());
                   });
  for (LayerCache* cache : at.caches) ++cache->used;
  return out;
}

}  // namespace sotto::model
