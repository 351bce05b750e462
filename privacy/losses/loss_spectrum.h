// The composition of losses on one grid, as a product of spectra. Each step's two measures (loss_grid.h) are tilted, mass *
// e^(tilt * loss), so that what decides delta stands in the middle of the window at full precision; upper and lower are the
// real and the imaginary part of one transform. Every error is summed up in Totals. Values; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "privacy/losses/fft.h"
#include "privacy/losses/loss_grid.h"
#include "privacy/losses/loss_outline.h"

namespace sotto::privacy {

template <class Real>
class LossSpectrum {
 public:
  // Of all steps, with some weight on each mass: ln of the sum over all runs, and how much is left without those of small
  // losses.
  struct LogSum {
    double all = 0;
    double excess = 0;  // all, less ln of the sum over the runs in which every loss is small; infinite if none is left out
    double rare() const;
  };
  // Index 0: upper, 1: lower. Masses are those of the runs that were not left out.
  struct Totals {
    double log_scale = 0;  // true mass = tilted mass * e^(log_scale - tilt * loss)
    double log_scale_error = 0;
    double offset = 0;  // loss of point 0
    double offset_error = 0;
    double edge_error = 0;      // the true loss is within this of the grid's
    double relative_error = 0;  // of each tilted mass
    double round_off = 0;       // l2 norm of the error of all tilted masses, upper and lower together
    double infinite[2] = {};    // upper: a bound from above, lower: from below
    LogSum log_right[2];        // E[e^(right * loss)] of the tilted measure: from above
    LogSum log_left[2];         // E[e^(-left * loss)]
    double log_small[2] = {};   // ln E[e^(small_tilt * loss)] of the true masses of runs that were left out; -inf for none
    double last = 0;            // no mass lies above this point
  };

  explicit LossSpectrum(const ComposedPlan& plan);
  void multiply(const GridLoss& grid, double log_scale, std::uint64_t count);
  // Steps that the plan was made for, or that are like those: puts them on the grid first.
  void multiply(const LossSteps& steps, const LossOutline::Part& part, double share_of_all_steps);
  const Totals& totals() const { return totals_; }
  // Tilted masses on the circle: point k of the grid is at k modulo the length. re: upper, im: lower.
  Spectrum<Real> masses() const;

 private:
  struct Tilted;
  Tilted tilt(const GridLoss& grid, double log_scale) const;
  void count_errors(const Tilted& tilted, double count);
  void multiply_powers(const Tilted& transformed, std::uint64_t count);

  ComposedPlan plan_;
  Fft<Real> fft_;
  Totals totals_;
  bool split_;
  double log_growth_ = 0;           // ln of a bound on |product|
  double excess_ = 0;               // of the tilted masses: from above
  double forward_error_ = 0;        // of rare losses' spectra
  double forward_error_small_ = 0;  // of small losses'
  double factors_ = 0;
  Spectrum<Real> upper_, lower_;              // half of each product, the other half is its conjugate
  Spectrum<Real> small_upper_, small_lower_;  // the runs that are left out
};

extern template class LossSpectrum<double>;
extern template class LossSpectrum<long double>;  // eight to twenty times slower, round-off two thousand times smaller

}  // namespace sotto::privacy
