// A rough picture of a composition: a few hundred losses with their masses, from which the tilt, the window and the grid's
// step are chosen. Nothing here is certified and nothing needs to be: a bad choice costs width, not truth. Pure functions;
// any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "privacy/losses/loss_grid.h"
#include "privacy/losses/pld.h"

namespace sotto::privacy {

// The cumulant generating function K(lambda) = ln E_P[e^(lambda * loss)] of the whole composition. With `rare_from`, of its
// runs in which the loss of one step at least is as large as that.
struct ComposedPlan;
inline constexpr double kAllRare = -std::numeric_limits<double>::infinity();
class LossOutline {
 public:
  struct Part {
    const PrivacyLoss* loss = nullptr;
    std::vector<double> losses;
    std::vector<double> masses;
    double count = 0;
    LossRange range;
    double log_sum(double lambda) const;  // K of one step
    // The range, less what lies so far below that its tilted mass counts for nothing.
    LossRange tilted_range(double lambda) const;
    // The widest bins that add at most `spread` to the tilted loss's mean square, all steps of the part together.
    BinWidths bin_widths(const ComposedPlan& plan, double spread) const;
  };
  LossOutline() = default;
  // Of hundredths from `fine_from` on, if that is above 0; of quarters of octaves elsewhere.
  LossOutline(std::span<const LossSteps> steps, double delta, double fine_from = 0);
  void add(const LossSteps& steps, double delta);
  LossOutline times(double factor) const;  // so many times the steps

  const std::vector<Part>& parts() const { return parts_; }
  // A few hundred parts that stand for all: each has the count of those that it stands for. Sums over many different steps
  // are taken over these.
  const std::vector<Part>& sample() const { return sample_; }
  std::vector<LossSteps> sampled_steps() const;
  double steps() const;
  double cumulant(double lambda) const;
  double cumulant(double lambda, double rare_from) const;
  double cumulant_of_small(double lambda, double rare_from) const;  // of all the other runs
  double mean(double lambda) const;                                 // K'
  double variance(double lambda) const;                             // K''

 private:
  void take(Part part);
  std::vector<Part> parts_, sample_;
};

// How the composition is computed.
struct ComposedPlan {
  // Runs in which every loss is below this are not composed, but bounded by e^(K - small_tilt * epsilon).
  double rare_from = kAllRare;
  double small_tilt = 0;
  double rare_share = 1;       // of the tilted mass: what is composed
  double tilt = 0;             // lambda > 0
  double slope = 0;            // about -d ln delta / d epsilon: the lambda at which the tilted mean is epsilon
  double epsilon = 0;          // about what it will be
  double from = 0, to = 0;     // window of the composed loss
  double right = 0, left = 0;  // exponents that bound the tilted mass beyond the window
  double step = 0;
  double spread = 0;       // what bins wider than a step may add to the mean square of the composed loss
  std::size_t length = 0;  // points: a power of two
};
ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target);

// The same once epsilon is about known: the tilted distribution's mean is put there, which Renyi divergence alone does not
// find for heavy tails. The grid's step is divided by `finer`, as far as there are points. With `split`, runs of small
// losses are left out where they hardly reach epsilon.
struct KnownEpsilon {
  double epsilon = 0;
  double finer = 1;
  bool split = false;
};
ComposedPlan plan_composition(const LossOutline& outline, std::span<const LossSteps> steps, const PldTarget& target,
                              const KnownEpsilon& known);

// Rare losses are no smaller than this share of epsilon.
inline constexpr double kLeastRare = 0x1p-8;

// Sets length and step for a window that was moved, with a step no larger than before.
void lengthen(ComposedPlan& plan);

}  // namespace sotto::privacy
