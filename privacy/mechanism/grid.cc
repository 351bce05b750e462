#include "privacy/mechanism/grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "base/check.h"

namespace sotto::privacy {
namespace {

// The loops over a gradient's coordinates are the only cost of privacy besides the noise: compiled for each CPU generation,
// chosen when the program starts. The operations and their order are the same in all, so the results are too.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SOTTO_FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default"), optimize("fp-contract=off")))
#else
#define SOTTO_FOR_EACH_CPU
#endif

constexpr std::size_t kLanes = 16;

// Partial sums in a fixed order: the result is a function of the vector alone.
SOTTO_FOR_EACH_CPU double squared_norm(const float* v, std::size_t size) {
  std::array<double, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (std::size_t k = 0; k < kLanes; ++k) {
      const double x = static_cast<double>(v[i + k]);
      sums[k] += x * x;
    }
  for (; i < size; ++i) sums[i % kLanes] += static_cast<double>(v[i]) * static_cast<double>(v[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

double l2_norm(std::span<const float> v) { return std::sqrt(squared_norm(v.data(), v.size())); }

SOTTO_FOR_EACH_CPU void take_from_sum(const std::int32_t* v, std::int64_t* sum, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] -= v[i];
}

// Nearest integers (ties to even) of v * scale, each below 2^31; returns the sum of their squares.
SOTTO_FOR_EACH_CPU std::uint64_t round_scaled(const float* v, double scale, std::int32_t* out, std::size_t size) {
  constexpr double kRound = 0x1.8p52;  // adding it leaves no room for a fraction
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const double x = (static_cast<double>(v[i]) * scale + kRound) - kRound;
    const auto whole = static_cast<std::int32_t>(x);
    out[i] = whole;
    total += static_cast<std::uint64_t>(static_cast<std::int64_t>(whole) * whole);
  }
  return total;
}

SOTTO_FOR_EACH_CPU void add_to_sum(const std::int32_t* v, std::int64_t* sum, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] += v[i];
}

SOTTO_FOR_EACH_CPU void add_to_sum(const float* v, double* sum, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) sum[i] += static_cast<double>(v[i]);
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

namespace {

// What a gradient of this norm is multiplied by, to be at most `bound` long where a gradient of norm `threshold` still fits.
double clip_factor(ClippingKind kind, double norm, double threshold, double bound) {
  constexpr double kGamma = 0.01;  // the stability constant of Bu et al. 2022 (arXiv 2206.07136)
  if (kind == ClippingKind::kAutomatic) return bound / (norm + kGamma);
  return norm > threshold ? bound / norm : bound / threshold;
}

// What each group of coordinates is multiplied by, and whether the unit was clipped in any.
struct Factors {
  std::vector<double> of_group;
  bool clipped = false;
};

// nullopt: a norm is not finite.
std::optional<Factors> factors_of(const std::vector<double>& norms, const Grid& grid, const Clipping& clipping) {
  const double share = clipping.counts_clipped ? std::sqrt(1 - kCountShare * kCountShare) : 1.0;
  const double parts = std::sqrt(static_cast<double>(norms.size()));
  const double bound = grid.clip().l2() * share / parts, threshold = clipping.threshold * share / parts;
  Factors factors;
  for (const double norm : norms) {
    if (!std::isfinite(norm)) return std::nullopt;
    factors.clipped = factors.clipped || norm > threshold;
    factors.of_group.push_back(clip_factor(clipping.kind, norm, threshold, bound));
  }
  return factors;
}

std::int32_t count_of(bool clipped, const Grid& grid) {
  return static_cast<std::int32_t>(std::floor(kCountShare * grid.clip().l2() / grid.step())) * (clipped ? 1 : -1);
}

std::uint64_t squared(std::int32_t x) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(x) * x); }

// Exactly the units that the sink wants.
bool all_added(const UnitSink& sink, const std::vector<bool>& added) {
  for (std::size_t i = 0; i < added.size(); ++i)
    if (added[i] != sink.wants(i)) return false;
  return true;
}

std::size_t offset_of(const GradientPieces& pieces, std::size_t piece) {
  return std::accumulate(pieces.sizes.begin(), pieces.sizes.begin() + static_cast<std::ptrdiff_t>(piece), std::size_t{0});
}

}  // namespace

double squared_norm(std::span<const float> v) { return squared_norm(v.data(), v.size()); }

std::vector<std::int32_t> clip_and_round(std::span<const float> gradient, const Grid& grid, const Clipping& clipping) {
  SOTTO_CHECK(gradient.size() + clipping.counts_clipped == grid.dimension());
  std::vector<std::int32_t> out(grid.dimension(), 0);
  std::vector<std::size_t> groups =
      clipping.kind == ClippingKind::kPerLayer ? clipping.groups : std::vector{gradient.size()};
  SOTTO_CHECK(std::accumulate(groups.begin(), groups.end(), std::size_t{0}) == gradient.size());
  std::vector<double> norms;
  std::size_t at = 0;
  for (const std::size_t size : groups) {
    norms.push_back(l2_norm(gradient.subspan(at, size)));
    at += size;
  }
  const auto factors = factors_of(norms, grid, clipping);
  if (!factors) return out;
  std::uint64_t square = 0;
  at = 0;
  for (std::size_t m = 0; m < groups.size(); ++m) {
    square += round_scaled(gradient.data() + at, factors->of_group[m] / grid.step(), out.data() + at, groups[m]);
    at += groups[m];
  }
  if (clipping.counts_clipped) {
    out.back() = count_of(factors->clipped, grid);
    square += squared(out.back());
  }
  // The theorem says that this loop does not run, in real arithmetic. The guarantee rests on the integers, not on the
  // theorem.
  const std::uint64_t limit = grid.sensitivity() * grid.sensitivity();
  for (; square > limit; square = squared_norm(out)) {
    const double shrink = static_cast<double>(grid.sensitivity()) / std::sqrt(static_cast<double>(square)) * (1 - 0x1p-40);
    for (std::int32_t& x : out) x = static_cast<std::int32_t>(static_cast<double>(x) * shrink);  // towards zero
  }
  return out;
}

std::vector<std::int32_t> clip_and_round(std::span<const float> gradient, const Grid& grid) {
  return clip_and_round(gradient, grid, flat_clipping(grid.clip()));
}

void UnitSink::add_pieces(std::size_t position, const GradientPieces& pieces) {
  std::vector<float> whole;
  whole.reserve(dimension());
  pieces.visit([&](std::size_t, std::span<const float> values) { whole.insert(whole.end(), values.begin(), values.end()); });
  add(position, whole);
}

GridAccumulator::GridAccumulator(SampledUnits&& units, const Grid& grid)
    : GridAccumulator(std::move(units), grid, flat_clipping(grid.clip())) {}

GridAccumulator::GridAccumulator(SampledUnits&& units, const Grid& grid, Clipping clipping, Workers* workers)
    : units_(std::move(units)),
      grid_(grid),
      clipping_(std::move(clipping)),
      workers_(workers),
      added_(units_.units().size(), false),
      values_(grid.dimension(), 0) {
  SOTTO_CHECK(units_.units().size() <= std::numeric_limits<std::uint32_t>::max());  // so that int64 sums cannot wrap
  SOTTO_CHECK(std::isfinite(clipping_.threshold) && clipping_.threshold > 0);
}

void GridAccumulator::add(std::size_t position, std::span<const float> gradient) {
  SOTTO_CHECK(position < added_.size() && !added_[position]);
  added_[position] = true;
  const std::vector<std::int32_t> contribution = clip_and_round(gradient, grid_, clipping_);
  add_to_sum(contribution.data(), values_.data(), values_.size());
}

// Of one unit in pieces.
struct GridAccumulator::Rounding {
  std::vector<double> scales;  // of each piece, to grid units
  std::uint64_t square = 0;    // of what the unit adds besides
};

// Adds the pieces, rounded. Where their integer norm passes C~, takes them out again and returns false.
bool GridAccumulator::add_rounded(const Rounding& rounding, const GradientPieces& pieces) {
  const std::uint64_t limit = grid_.sensitivity() * grid_.sensitivity();
  // Above it a vector cannot round to C~, and below it no sum of squares here leaves 64 bits.
  const double longest = 4.0 * static_cast<double>(limit);
  std::vector<std::int32_t> rounded;
  std::uint64_t square = rounding.square;
  std::size_t taken = 0;  // pieces that stand in the sum
  bool fits = true;
  const auto round = [&](std::size_t piece, std::span<const float> values) {
    rounded.resize(values.size());
    return round_scaled(values.data(), rounding.scales[piece], rounded.data(), values.size());
  };
  pieces.visit([&](std::size_t piece, std::span<const float> values) {
    SOTTO_CHECK(values.size() == pieces.sizes.at(piece));
    fits = fits && squared_norm(values) * rounding.scales[piece] * rounding.scales[piece] <= longest;
    if (!fits) return;
    square += round(piece, values);
    add_to_sum(rounded.data(), values_.data() + offset_of(pieces, piece), values.size());
    taken = piece + 1;
    fits = square <= limit;
  });
  if (fits) return true;
  pieces.visit([&](std::size_t piece, std::span<const float> values) {
    if (piece >= taken) return;
    round(piece, values);
    take_from_sum(rounded.data(), values_.data() + offset_of(pieces, piece), values.size());
  });
  return false;
}

void GridAccumulator::add_pieces(std::size_t position, const GradientPieces& pieces) {
  SOTTO_CHECK(position < added_.size() && !added_[position]);
  SOTTO_CHECK(std::accumulate(pieces.sizes.begin(), pieces.sizes.end(), std::size_t{0}) == dimension());
  SOTTO_CHECK(pieces.squared_norms.size() == pieces.sizes.size());
  added_[position] = true;
  const auto groups = clipping_.kind == ClippingKind::kPerLayer ? clipping_.groups : std::vector{dimension()};
  std::vector<double> norms;
  std::vector<std::size_t> group_of;  // of each piece
  std::size_t at = 0, end = 0;
  for (std::size_t piece = 0; piece < pieces.sizes.size(); ++piece) {
    if (at == end) end += groups.at(norms.size()), norms.push_back(0);
    at += pieces.sizes[piece];
    SOTTO_CHECK(at <= end);
    norms.back() += pieces.squared_norms[piece];
    group_of.push_back(norms.size() - 1);
  }
  for (double& norm : norms) norm = std::sqrt(norm);
  const auto factors = factors_of(norms, grid_, clipping_);
  if (!factors) return;
  Rounding rounding;
  for (const std::size_t group : group_of) rounding.scales.push_back(factors->of_group[group] / grid_.step());
  const std::int32_t count = clipping_.counts_clipped ? count_of(factors->clipped, grid_) : 0;
  rounding.square = squared(count);
  if (add_rounded(rounding, pieces) && count != 0) values_.back() += count;
}

ClippedSum GridAccumulator::finish() && {
  SOTTO_CHECK(all_added(*this, added_));
  if (workers_ != nullptr) workers_->sum(values_);
  return ClippedSum(grid_, units_.event(), std::move(clipping_), std::move(values_));
}

UnclippedAccumulator::UnclippedAccumulator(SampledUnits&& units, std::size_t dimension, Workers* workers)
    : units_(std::move(units)), workers_(workers), added_(units_.units().size(), false), values_(dimension, 0) {
  SOTTO_CHECK(dimension > 0);
}

void UnclippedAccumulator::add(std::size_t position, std::span<const float> gradient) {
  SOTTO_CHECK(position < added_.size() && !added_[position] && gradient.size() == values_.size());
  added_[position] = true;
  if (!std::isfinite(l2_norm(gradient))) {
    ++lost_;
    return;
  }
  add_to_sum(gradient.data(), values_.data(), values_.size());
}

void UnclippedAccumulator::add_pieces(std::size_t position, const GradientPieces& pieces) {
  SOTTO_CHECK(position < added_.size() && !added_[position]);
  added_[position] = true;
  if (!std::ranges::all_of(pieces.squared_norms, [](double n) { return std::isfinite(n); })) {
    ++lost_;
    return;
  }
  pieces.visit([&](std::size_t piece, std::span<const float> values) {
    add_to_sum(values.data(), values_.data() + offset_of(pieces, piece), values.size());
  });
}

UnclippedSum UnclippedAccumulator::finish() && {
  SOTTO_CHECK(all_added(*this, added_));
  if (workers_ != nullptr) workers_->sum(values_);
  const auto mine = static_cast<std::size_t>(std::ranges::count(added_, true));
  return UnclippedSum(std::move(values_), mine > 0 && lost_ == mine);
}

}  // namespace sotto::privacy
