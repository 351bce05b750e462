#include "model/network/runtime.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/log.h"

namespace sotto::model {
namespace {

bool cpu_has_amx() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("amx-tile") != 0;
#else
  return false;
#endif
}

bool cpu_has_bf16() {
#if defined(__x86_64__)
  return cpu_has_amx() || __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

// Largest error of a product of 256-long rows, relative to the largest entry: near 1e-6 in fp32, near 1e-3 in bf16.
double product_error() {
  const at::Tensor x = at::linspace(-1, 1, 64 * 256, at::kFloat).view({64, 256}).cos(), y = x.mul(3.7).sin().t();
  const at::Tensor exact = at::mm(x.to(at::kDouble), y.to(at::kDouble));
  return (at::mm(x, y).to(at::kDouble) - exact).abs().max().item<double>() / exact.abs().max().item<double>();
}

void set_matmul(at::Float32Precision precision) {
  at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL, precision);
}

Result<at::Device> find_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  const std::string prefix = "cuda:";
  int index = -1;
  if (name.starts_with(prefix)) {
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + prefix.size(), end, index);
    if (parsed.ec != std::errc() || parsed.ptr != end) index = -1;
  }
  if (index < 0) return invalid("device = \"" + name + "\": it must be \"cpu\" or \"cuda:N\", N counting from 0");
  if (!at::globalContext().hasCUDA())
    return unavailable("device = \"" + name + "\": this machine, or this build of LibTorch, has no CUDA; use \"cpu\"");
  const auto count = at::getNumGPUs();
  if (static_cast<std::size_t>(index) >= count)
    return unavailable("device = \"" + name + "\": this machine has " + std::to_string(count) + " GPUs, numbered from 0");
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace

Result<std::vector<at::Device>> find_devices(const std::string& names) {
  std::vector<at::Device> devices;
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t comma = std::min(names.find(',', begin), names.size());
    SOTTO_TRY(const auto device, find_device(names.substr(begin, comma - begin)));
    if (!devices.empty() && device.type() != devices.front().type())
      return unsupported("device = \"" + names + "\": layers lie on GPUs or on the CPU, not on both, in this version");
    devices.push_back(device);
    begin = comma + 1;
  }
  return devices;
}

double free_room(const at::Device& device) {
  if (device.is_cpu()) return 1;
  try {
    return static_cast<double>(at::accelerator::getMemoryInfo(device.index()).first);
  } catch (const c10::Error&) {
    return 1;
  }
}

Result<Precision> choose_precision(Precision wanted, const at::Device& device) {
  const bool fast_bf16 = device.is_cuda() || cpu_has_bf16();
  if (wanted == Precision::kAuto) return fast_bf16 ? Precision::kBf16 : Precision::kFp32;
  if (wanted == Precision::kBf16 && !fast_bf16)
    return unsupported(
        "precision = \"bf16\": this CPU has no instructions for it (AVX512-BF16 or AMX); use \"fp32\" or \"auto\"");
  return wanted;
}

void keep_heap() {
#if defined(__GLIBC__)
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

void route_fp32_products() {
  bool routed = false;
  if (at::globalContext().hasMKLDNN() && !cpu_has_amx()) {
    set_matmul(at::Float32Precision::BF16);
    constexpr double kFp32Error = 1e-5;
    routed = product_error() < kFp32Error;
    if (!routed) set_matmul(at::Float32Precision::NONE);
  }
  log(Level::kDebug, "fp32_products", {{"library", routed ? "onednn" : "default"}});
}

}  // namespace sotto::model
