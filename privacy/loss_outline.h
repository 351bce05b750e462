// A rough picture of a composition: a few hundred losses with their masses, from which the tilt, the window and the grid's
// step are chosen. Nothing here is certified and nothing needs to be: a bad choice costs width, not truth. Pure functions;
// any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "privacy/loss_grid.h"
#include "privacy/pld.h"

namespace sotto::privacy {

// The cumulant generating function K(lambda) = ln E_P[e^(lambda * loss)] of the whole composition.
class LossOutline {
 public:
  struct Part {
    std::vector<double> losses;
    std::vector<double> masses;
    double count = 0;
    LossRange range;
    double log_sum(double lambda) const;  // K of one step
    // The range, less what lies so far below that its tilted mass counts for nothing.
    LossRange tilted_range(double lambda) const;
    // The widest bins that add at most `spread` to the tilted loss's mean square, all steps of the part together.
    BinWidths bin_widths(double lambda, double spread) const;
  };
  LossOutline() = default;
  LossOutline(std::span<const LossSteps> steps, double delta);
  void add(const LossSteps& steps, double delta);
  LossOutline times(double factor) const;  // so many times the steps

  const std::vector<Part>& parts() const { return parts_; }
  double steps() const;
  double cumulant(double lambda) const;
  double mean(double lambda) const;      // K'
  double variance(double lambda) const;  // K''

 private:
  std::vector<Part> parts_;
};

// How the composition is computed.
struct ComposedPlan {
  double tilt = 0;       // lambda > 0
  double slope = 0;      // about -d ln delta / d epsilon: the lambda at which the tilted mean is epsilon
  double epsilon = 0;    // about what it will be
  double from = 0, to = 0;  // window of the composed loss
  double right = 0, left = 0;  // exponents that bound the tilted mass beyond the window
  double step = 0;
  double spread = 0;           // what bins wider than a step may add to the mean square of the composed loss
  std::size_t length = 0;  // points: a power of two
};
ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target);

// The same once epsilon is about known: the tilted distribution's mean is put there, which Renyi divergence alone does not find
// for heavy tails. The grid's step is divided by `finer`, as far as there are points.
struct KnownEpsilon {
  double epsilon = 0;
  double finer = 1;
};
ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target,
                              const KnownEpsilon& known);

// Sets length and step for a window that was moved, with a step no larger than before.
void lengthen(ComposedPlan& plan);

}  // namespace sotto::privacy
