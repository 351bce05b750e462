// Composition of privacy losses (loss.h) with a certified bracket: lower <= delta(epsilon) <= upper, and the same for
// epsilon(delta), whatever the rounding of floating point did. Each loss is put on a grid twice, once so that it can only
// reveal more and once so that it can only reveal less; both are composed by one FFT of exponentially tilted masses, and all
// errors of truncation, wrap-around and round-off are bounded and charged. Proof: docs/privacy.md, "The privacy loss".
// Values; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "privacy/losses/loss.h"
#include "privacy/mechanism/units.h"

namespace sotto::privacy {

struct ComposedPlan;
template <class Real>
class LossSpectrum;

struct LossSteps {
  const PrivacyLoss* loss = nullptr;  // not owned; outlives the call
  std::uint64_t count = 1;            // this many such steps, adaptively chosen
};

struct Bracket {
  double lower = 0;
  double upper = 0;  // +inf where the losses allow no finite bound
};

// Of more different steps, answers are a little wider, so that they come in bounded time: one transform a step.
inline constexpr std::size_t kManySteps = 2048;

// What the grid is made for. Every bracket holds at any delta; it is narrow near `delta`.
struct PldTarget {
  Delta delta{1e-5};
  double width = 2e-4;  // aimed at, of epsilon, times max(1, epsilon)
  double reach = 1;     // below 1: round-off matters little down to delta * reach, and larger deltas are asked about, too
  bool refine = true;   // other grids are tried when the bracket is wide; for atoms they do not help
};

// A bracket that is no wider than either is good enough; a wider one is worth another grid. Epsilons below kLeastEpsilon are
// as good as 0 and are met to within kNarrowShare of that.
inline constexpr double kNarrowBracket = 5e-4;  // of max(1, epsilon)
inline constexpr double kNarrowShare = 3e-3;    // of epsilon
inline constexpr double kLeastEpsilon = 5e-4;
inline bool is_narrow(const Bracket& epsilon, double times = 1) {
  const double upper = epsilon.upper;
  const double allowed =
      upper > 1 ? kNarrowBracket * upper : std::min(kNarrowBracket, kNarrowShare * std::max(upper, kLeastEpsilon));
  return upper - epsilon.lower <= allowed * times;
}

// The composition of all steps, in one direction.
class ComposedLoss {
 public:
  // Losses so large that no grid holds their tilted sum (thousands, in a step) get the bracket that says nothing.
  static ComposedLoss compose(std::span<const LossSteps> steps, const PldTarget& target);

  // What a product of spectra amounts to.
  template <class Real>
  static ComposedLoss of(const LossSpectrum<Real>& product, const ComposedPlan& plan);

  Bracket epsilon(Delta delta) const;    // each end >= 0
  Bracket delta(double epsilon) const;   // each end in [0, 1]
  double tilt() const { return tilt_; }  // the Renyi order that the grid was made for, less 1

 private:
  // One of the two measures: what delta(epsilon) needs of it.
  struct Side {
    // Of the points from j on, in units of point j's own tilt: sum of m_i e^(-tilt (l_i - l_j)) times (1 - e^(l_j - l_i)),
    // and times e^(l_j - l_i).
    std::vector<double> gain;
    std::vector<double> rest;
    double infinite = 0;    // mass of an infinite loss
    double relative = 0;    // error of a mass, relative
    double log_beyond = 0;  // ln of the tilted mass right of the window
    double log_small = 0;   // ln E[e^(small_tilt * loss)] of runs of small losses, which are not in the sums
    double outside = 0;     // tilted mass on either side of the window
  };
  ComposedLoss() = default;
  class Search;
  Bracket on_this_grid(Delta delta) const;
  Bracket without_round_off(Delta delta) const;  // what exact arithmetic would make of this grid
  double finite_part(const Side& side, double epsilon, bool upper) const;
  double upper_delta(double epsilon) const;
  double lower_delta(double epsilon) const;

  double tilt_ = 0, small_tilt_ = 0, log_scale_ = 0, log_scale_error_ = 0;
  double from_ = 0, step_ = 0;  // point j is at from_ + j * step_
  double shift_ = 0;            // the true loss is within this of the grid's
  double round_off_ = 0;        // l2 norm of the error of all masses
  Side upper_, lower_;
  std::vector<ComposedLoss> others_;  // other grids' brackets of the same: all of them hold
};

}  // namespace sotto::privacy
