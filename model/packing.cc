#include "model/packing.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace sotto::model {

std::vector<Pass> pack(std::span<const std::uint32_t> lengths) {
  std::vector<std::uint32_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::uint32_t i) { return lengths[i]; });
  std::vector<Pass> passes;
  std::vector<std::uint32_t> used;  // rows taken of each pass
  for (const std::uint32_t i : order) {
    SOTTO_CHECK(lengths[i] > 0);
    const std::uint32_t rows = (lengths[i] + kRowsPerPass - 1) / kRowsPerPass * kRowsPerPass;
    std::size_t p = 0;
    while (p < passes.size() && !(passes[p].rows == rows && used[p] + lengths[i] <= rows)) ++p;
    if (p == passes.size()) {
      passes.push_back({rows, {}});
      used.push_back(0);
    }
    passes[p].segments.push_back({i, used[p], lengths[i]});
    used[p] += lengths[i];
  }
  return passes;
}

}  // namespace sotto::model
