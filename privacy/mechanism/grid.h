// From gradients to an exact sum of bounded sensitivity. Each unit's gradient is clipped and rounded to an integer grid on
// its own, its exact integer norm is checked, and integers are summed; so what one unit adds to a sum is the same integer
// vector whoever else is in the batch, and two neighbouring sums differ by exactly that vector. Proof: docs/privacy.md, "The
// grid". Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "privacy/mechanism/clipping.h"
#include "privacy/mechanism/sampler.h"
#include "privacy/mechanism/units.h"
#include "privacy/mechanism/workers.h"

namespace sotto::privacy {

// The integer grid for vectors of `dimension` coordinates clipped to C. Rounding to nearest moves a vector by at most
// sqrt(d)/2 grid units, so C~ = ceil(C / step + sqrt(d)/2) grid units bounds the rounded vector. The step is a power of two
// (scaling by it is exact) and the largest one with C~ * step <= (1 + max_excess) * C.
class Grid {
 public:
  static constexpr std::uint64_t kLargestSensitivity = std::uint64_t{1} << 26;  // enough for 4e9 coordinates
  static constexpr double kLocalExcess = 1e-3;  // C~ <= 1.001 C where the grid is used with a site's own noise
  Grid(ClipNorm clip, std::size_t dimension, double max_excess = kLocalExcess);

  ClipNorm clip() const { return clip_; }
  std::size_t dimension() const { return dimension_; }
  double step() const { return step_; }                       // gradient units per grid unit
  std::uint64_t sensitivity() const { return sensitivity_; }  // C~, grid units
  bool operator==(const Grid&) const = default;

 private:
  ClipNorm clip_;
  std::size_t dimension_;
  double step_ = 0;
  std::uint64_t sensitivity_ = 0;
};

// One unit's contribution: the gradient clipped, then rounded to nearest, with integer norm <= C~ always. Norms are taken in
// double. A gradient with a non-finite entry gives zeros. gradient.size() == grid.dimension(), or one less where clipped
// units are counted.
std::vector<std::int32_t> clip_and_round(std::span<const float> gradient, const Grid& grid, const Clipping& clipping);
std::vector<std::int32_t> clip_and_round(std::span<const float> gradient, const Grid& grid);  // flat

// Sum of squares in double, in a fixed order: a function of the vector alone, whatever the machine's threads.
double squared_norm(std::span<const float> v);

// One unit's gradient that is too long to be held: pieces that follow one another.
struct GradientPieces {
  std::vector<std::size_t> sizes;     // of the pieces; they add up to the sink's dimension
  std::vector<double> squared_norms;  // of each, as the model computed them; not finite: of the whole unit nothing counts
  // Tells every piece in turn. Called again it tells the same numbers, bit for bit.
  std::function<void(const std::function<void(std::size_t piece, std::span<const float> values)>& take)> visit;
};

// What the model hands per-unit gradients to. Every drawn unit that it wants is added exactly once, in any order; position
// counts in units().units(). The gradient is the sum over the unit's drawn records.
class UnitSink {
 public:
  virtual ~UnitSink() = default;
  virtual const SampledUnits& units() const = 0;
  virtual std::size_t dimension() const = 0;
  // Whether this unit is to be added here; another process adds the others.
  virtual bool wants(std::size_t /*position*/) const { return true; }
  virtual void add(std::size_t position, std::span<const float> gradient) = 0;
  // The same unit in pieces.
  virtual void add_pieces(std::size_t position, const GradientPieces& pieces);
};

// A sum whose sensitivity is bounded by grid().sensitivity() grid units. It still has to be noised; only add_noise() takes
// it.
class ClippedSum {
 public:
  ClippedSum(ClippedSum&&) noexcept = default;
  ClippedSum& operator=(ClippedSum&&) noexcept = default;
  ClippedSum(const ClippedSum&) = delete;
  ClippedSum& operator=(const ClippedSum&) = delete;

  const Grid& grid() const { return grid_; }
  ClipNorm clip() const { return grid_.clip(); }
  std::size_t dimension() const { return grid_.dimension(); }
  const SamplingEvent& sampling() const { return sampling_; }
  const Clipping& clipping() const { return clipping_; }
  // The exact sum, unprotected: for tests and for the self-check on throw-away data. Never leaves the process.
  const std::vector<std::int64_t>& reveal_without_noise() const { return values_; }

 private:
  friend class GridAccumulator;
  friend class NoisySum;
  friend class CorrelatedNoise;
  ClippedSum(const Grid& grid, const SamplingEvent& sampling, Clipping clipping, std::vector<std::int64_t> values)
      : grid_(grid), sampling_(sampling), clipping_(std::move(clipping)), values_(std::move(values)) {}
  Grid grid_;
  SamplingEvent sampling_;
  Clipping clipping_;
  std::vector<std::int64_t> values_;
};

class GridAccumulator final : public UnitSink {
 public:
  GridAccumulator(SampledUnits&& units, const Grid& grid);  // flat
  // Of several processes, each adds its own part and finish() sums over all: `workers` outlives this.
  GridAccumulator(SampledUnits&& units, const Grid& grid, Clipping clipping, Workers* workers = nullptr);
  const SampledUnits& units() const override { return units_; }
  bool wants(std::size_t position) const override { return workers_ == nullptr || workers_->is_mine(position); }
  std::size_t dimension() const override { return grid_.dimension() - clipping_.counts_clipped; }
  void add(std::size_t position, std::span<const float> gradient) override;
  // Clips by the norms that come with the pieces, rounds and adds piece by piece, and looks at the exact integer norm of all
  // of them before any counts: a unit that turns out to be longer than C~ is taken out again, integer for integer, and adds
  // zeros. (Norms that are true to 1e-4 never lead there.) The pieces are the groups of per-layer clipping put together.
  void add_pieces(std::size_t position, const GradientPieces& pieces) override;
  ClippedSum finish() &&;  // every drawn unit has been added

 private:
  SampledUnits units_;
  Grid grid_;
  struct Rounding;
  bool add_rounded(const Rounding& rounding, const GradientPieces& pieces);
  Clipping clipping_;
  Workers* workers_ = nullptr;
  std::vector<bool> added_;
  std::vector<std::int64_t> values_;
};

// For runs that the user declared non-private: the same path, without clipping, rounding and noise. The result has no
// DpEvent and converts to nothing that has one, so it can never be accounted or masked as private.
class UnclippedSum {
 public:
  UnclippedSum(UnclippedSum&&) noexcept = default;
  UnclippedSum& operator=(UnclippedSum&&) noexcept = default;
  UnclippedSum(const UnclippedSum&) = delete;
  UnclippedSum& operator=(const UnclippedSum&) = delete;

  // Units were drawn, and none of them had a finite gradient: the model's numbers are not, or have run away.
  bool lost_every_unit() const { return lost_every_unit_; }

 private:
  friend class UnclippedAccumulator;
  friend class NonPrivateSum;
  UnclippedSum(std::vector<double> values, bool lost_every_unit)
      : values_(std::move(values)), lost_every_unit_(lost_every_unit) {}
  std::vector<double> values_;
  bool lost_every_unit_;
};

class UnclippedAccumulator final : public UnitSink {
 public:
  UnclippedAccumulator(SampledUnits&& units, std::size_t dimension, Workers* workers = nullptr);
  const SampledUnits& units() const override { return units_; }
  bool wants(std::size_t position) const override { return workers_ == nullptr || workers_->is_mine(position); }
  std::size_t dimension() const override { return values_.size(); }
  void add(std::size_t position, std::span<const float> gradient) override;
  void add_pieces(std::size_t position, const GradientPieces& pieces) override;
  UnclippedSum finish() &&;

 private:
  SampledUnits units_;
  Workers* workers_ = nullptr;
  std::vector<bool> added_;
  std::size_t lost_ = 0;  // of those added, units whose gradient is not finite: they add zeros
  std::vector<double> values_;
};

}  // namespace sotto::privacy
