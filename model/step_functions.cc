#include "model/step_functions.h"

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
  const FewRows product{x.const_data_ptr<float>(), w.const_data_ptr(), w.scalar_type() == at::kBFloat16,
                        y.data_ptr<float>(),       x.size(0),          x.size(1),
                        w.size(0)};
  at::parallel_for(0, product.out, std::max<std::int64_t>(4, kGrain / (product.rows * product.in)),
                   [&](std::int64_t first, std::int64_t end) { few_rows_product(product, first, end); });
  return y;
}

at::Tensor step_cached_attention(const at::Tensor& q_RHD, std::span<LayerCache* const> caches, const AttentionForm& form) {
  const at::Tensor q = q_RHD.contiguous();
  at::Tensor out = at::zeros_like(q);
  const std::int64_t heads = q.size(1), dim = q.size(2), kv_heads = caches[0]->k_KSD.size(0), group = heads / kv_heads;
  const auto work = static_cast<std::int64_t>(caches.size()) * kv_heads;
  at::parallel_for(0, work, std::max<std::int64_t>(1, kGrain / (2 * group * dim * caches[0]->used)),
                   [&](std::int64_t first, std::int64_t end) {
                     for (std::int64_t i = first; i < end; ++i) {
                       const LayerCache& cache = *caches[static_cast<std::size_t>(i / kv_heads)];
                       const std::int64_t head = i % kv_heads, room = cache.k_KSD.size(1);
                       const std::int64_t seen = form.window == 0 ? cache.used : std::min(cache.used, form.window);
                       const std::int64_t row = (i / kv_heads * heads + head * group) * dim;
                       const std::int64_t oldest = (head * room + cache.used - seen) * dim;
                       step_attention({q.const_data_ptr<float>() + row, cache.k_KSD.const_data_ptr<float>() + oldest,
                                       cache.v_KSD.const_data_ptr<float>() + oldest, out.data_ptr<float>() + row, group, seen,
                                       dim, form.scale, form.softcap});
                     }
                   });
  return out;
}

}  // namespace sotto::model
