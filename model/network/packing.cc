#include "model/network/packing.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace sotto::model {

namespace {

std::uint32_t rounded_up(std::uint32_t rows, std::uint32_t multiple) { return (rows + multiple - 1) / multiple * multiple; }

}  // namespace

std::vector<Pass> pack(std::span<const std::uint32_t> lengths, Heights heights) {
  std::vector<std::uint32_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, std::greater<>(), [&](std::uint32_t i) { return lengths[i]; });
  std::vector<Pass> passes;
  std::vector<std::uint32_t> used;  // rows taken of each pass
  for (const std::uint32_t i : order) {
    SOTTO_CHECK(lengths[i] > 0);
    const std::uint32_t rows = rounded_up(lengths[i], kRowsPerPass);
    std::size_t p = 0;
    while (p < passes.size() && !(passes[p].rows == rows && used[p] + lengths[i] <= rows)) ++p;
    if (p == passes.size()) {
      passes.push_back({rows, {}});
      used.push_back(0);
    }
    passes[p].segments.push_back({i, used[p], lengths[i]});
    used[p] += lengths[i];
  }
  if (heights == Heights::kAny)
    for (std::size_t p = 0; p < passes.size(); ++p) passes[p].rows = rounded_up(used[p], kLowestPass);
  return passes;
}

}  // namespace sotto::model
