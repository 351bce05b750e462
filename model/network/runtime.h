// Where and how LibTorch computes: devices, number formats that the CPU has instructions for, which library multiplies fp32
// matrices, and its exceptions. Internal to model/: uses LibTorch.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "model/network/torch.h"
#include "plan/run_plan.h"

namespace sotto::model {

// "cpu" or "cuda:N", or several of one kind with commas between them, each with a run of the layers. Refused by name:
// anything else, and a GPU that is not there.
Result<std::vector<at::Device>> find_devices(const std::string& names);

// Bytes that are free on a device; of the CPU, and where LibTorch does not tell, 1: alike on all.
double free_room(const at::Device& device);

// kFp32 or kBf16. kAuto takes bf16 on a GPU and where the CPU has instructions for it; kBf16 on another CPU is refused.
Result<Precision> choose_precision(Precision wanted, const at::Device& device);

// Sends fp32 matrix products on the CPU to oneDNN where that keeps them exact, and logs which library it is. LibTorch's
// default, MKL, reaches less than half of oneDNN's rate on AMD CPUs. The switch that LibTorch has for it permits bf16
// arithmetic inside; a CPU without AMX does not use it, one with AMX would, so there it stays off. That products are still
// exact to fp32 is measured, not assumed. Applies to the whole process.
void route_fp32_products();

// A pass's activations are given back and asked for again a moment later: the heap keeps what it has, where glibc would
// return it to the system and fault it in anew. Applies to the whole process.
void keep_heap();

// LibTorch's exceptions (out of memory, a failed kernel) become the project's: they are the machine's fault, never the
// input's.
template <class F>
auto guarded(F&& f) -> decltype(f()) {
  try {
    return std::forward<F>(f)();
  } catch (const c10::Error& error) {
    throw Failure(std::string("LibTorch: ") + error.what_without_backtrace());
  }
}

}  // namespace sotto::model
