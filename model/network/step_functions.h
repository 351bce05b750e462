// step_kernels.h on tensors and on all threads. Internal to model/: uses LibTorch. Shapes as in functions.h.
#pragma once

#include "model/kernels/step_kernels.h"
#include "model/network/functions.h"

namespace sotto::model {

// Whether products with this matrix, or attention to a cache of its device, may take the kernels.
bool takes_step_kernels(const at::Tensor& weight_OI);

// x W^T in fp32, x rounded to W's precision; for at most kFewRows rows.
at::Tensor step_product(const at::Tensor& x_RI, const at::Tensor& weight_OI);

// cached_attention where every row of the pass is its sequence's next.
at::Tensor step_cached_attention(const at::Tensor& q_RHD, const at::Tensor& k_RKD, const at::Tensor& v_RKD,
                                 const CachedPass& at, const AttentionForm& form);

}  // namespace sotto::model
