// Whether low passes may be used: whether a row of a matrix product has the same bits whatever the number of rows beside it.
// A library's kernels may add in another order at another height; then only passes of one height keep a unit's gradient free
// of its neighbours. Internal to model/: uses LibTorch.
#pragma once

#include "model/network/packing.h"
#include "model/network/weights.h"

namespace sotto::model {

// kAny if every product of a training step, for every height below kRowsPerPass that a pass may have (of the head: for every
// one of head_heights), gives the bits that it gives at kRowsPerPass rows; measured, on random numbers, with this process's
// number of threads. kFixed on a GPU, where libraries choose by height.
Heights measured_heights(const Weights& weights, const AdapterOnDevice& adapter);

}  // namespace sotto::model
