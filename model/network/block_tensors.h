// dequantize.h's formats as tensor operations, for blocks that lie on a device. The same products and sums, so the same bits
// (each number is exact products and at most one rounding). Internal to model/: uses LibTorch.
#pragma once

#include "model/files/dequantize.h"
#include "model/network/torch.h"

namespace sotto::model {

// blocks_NB: N blocks of B bytes. Their numbers, in order, fp32: [N, elements of a block].
at::Tensor unpack_blocks(NumberFormat format, const at::Tensor& blocks_NB);

}  // namespace sotto::model
