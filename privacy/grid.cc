#include "privacy/grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace sotto::privacy {
namespace {

// Partial sums in a fixed order: the result is a function of the vector alone.
double l2_norm(std::span<const float> v) {
  std::array<double, 8> sums{};
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double x = static_cast<double>(v[i]);
    sums[i % sums.size()] += x * x;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

std::uint64_t squared_norm(std::span<const std::int32_t> v) {
  std::uint64_t total = 0;
  for (const std::int32_t x : v) {
    total += static_cast<std::uint64_t>(static_cast<std::int64_t>(x) * x);
  }
  return total;
}

}  // namespace

Grid::Grid(ClipNorm clip, std::size_t dimension, double max_excess) : clip_(clip), dimension_(dimension) {
  SOTTO_CHECK(dimension > 0);
  SOTTO_CHECK(max_excess >= 1e-6 && max_excess <= 1);
  const double half_diagonal = std::sqrt(static_cast<double>(dimension)) / 2;
  int exponent = 1 + static_cast<int>(std::floor(std::log2(max_excess * clip.l2() / half_diagonal)));
  double bound = 0;
  do {
    step_ = std::ldexp(1.0, --exponent);
    bound = std::ceil(clip.l2() / step_ + half_diagonal);
  } while (bound * step_ > (1 + max_excess) * clip.l2());
  SOTTO_CHECK(bound <= static_cast<double>(kLargestSensitivity));
  sensitivity_ = static_cast<std::uint64_t>(bound);
}

std::vector<std::int32_t> clip_and_round(std::span<const float> gradient, const Grid& grid) {
  SOTTO_CHECK(gradient.size() == grid.dimension());
  std::vector<std::int32_t> out(gradient.size(), 0);
  const double norm = l2_norm(gradient);
  if (!std::isfinite(norm)) return out;
  const double scale = (norm > grid.clip().l2() ? grid.clip().l2() / norm : 1.0) / grid.step();
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::int32_t>(std::lrint(static_cast<double>(gradient[i]) * scale));
  }
  // The theorem says that this loop does not run, in real arithmetic. The guarantee rests on the integers, not on the
  // theorem.
  const std::uint64_t limit = grid.sensitivity() * grid.sensitivity();
  for (std::uint64_t square = squared_norm(out); square > limit; square = squared_norm(out)) {
    const double shrink = static_cast<double>(grid.sensitivity()) / std::sqrt(static_cast<double>(square)) * (1 - 0x1p-40);
    for (std::int32_t& x : out) x = static_cast<std::int32_t>(static_cast<double>(x) * shrink);  // towards zero
  }
  return out;
}

GridAccumulator::GridAccumulator(SampledUnits&& units, const Grid& grid)
    : units_(std::move(units)), grid_(grid), added_(units_.units().size(), false), values_(grid.dimension(), 0) {
  SOTTO_CHECK(units_.units().size() <= std::numeric_limits<std::uint32_t>::max());  // so that int64 sums cannot wrap
}

void GridAccumulator::add(std::size_t position, std::span<const float> gradient) {
  SOTTO_CHECK(position < added_.size() && !added_[position]);
  added_[position] = true;
  const std::vector<std::int32_t> contribution = clip_and_round(gradient, grid_);
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += contribution[i];
}

ClippedSum GridAccumulator::finish() && {
  SOTTO_CHECK(std::all_of(added_.begin(), added_.end(), [](bool added) { return added; }));
  return ClippedSum(grid_, units_.event(), std::move(values_));
}

UnclippedAccumulator::UnclippedAccumulator(SampledUnits&& units, std::size_t dimension)
    : units_(std::move(units)), added_(units_.units().size(), false), values_(dimension, 0) {
  SOTTO_CHECK(dimension > 0);
}

void UnclippedAccumulator::add(std::size_t position, std::span<const float> gradient) {
  SOTTO_CHECK(position < added_.size() && !added_[position] && gradient.size() == values_.size());
  added_[position] = true;
  if (!std::isfinite(l2_norm(gradient))) return;
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += static_cast<double>(gradient[i]);
}

UnclippedSum UnclippedAccumulator::finish() && {
  SOTTO_CHECK(std::all_of(added_.begin(), added_.end(), [](bool added) { return added; }));
  return UnclippedSum(std::move(values_));
}

}  // namespace sotto::privacy
