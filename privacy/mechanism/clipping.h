// How one unit's gradient is brought within the bound that a grid stands for, before it is rounded. Every kind gives a
// vector of norm at most C = grid.clip(), by a function of that gradient alone and of constants and earlier releases; so the
// noise and the accounting are the same for all. docs/privacy.md, "Clipping". Values; any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "privacy/mechanism/kinds.h"
#include "privacy/mechanism/units.h"

namespace sotto::privacy {

// A unit that tells whether it was clipped does so by one more coordinate, +-beta C, and its gradient is held to sqrt(1 -
// beta^2) C: the norm of both together is still at most C, so the answer costs no epsilon besides.
inline constexpr double kCountShare = 0.1;  // beta

struct Clipping {
  ClippingKind kind = ClippingKind::kFlat;
  // Longest gradient that stays as it is, in the gradient's own unit; scaled to the grid's C. Other than C only where it
  // moves (kAdaptive): the grid, and with it the event, stay the same all through a run.
  double threshold = 1;
  std::vector<std::size_t> groups;  // kPerLayer: sizes of consecutive groups that add up to the gradient's length
  bool counts_clipped = false;      // the grid has one coordinate more than the gradient
};

// Flat at the grid's own C, nothing counted.
Clipping flat_clipping(ClipNorm clip);

// The geometric update of Andrew et al., section 2: threshold * exp(-0.2 (fraction not clipped - quantile)), within 1e-6 to
// 1e6 of `start`. Post-processing of a noised fraction.
double next_threshold(double threshold, double clip_fraction, double quantile, double start);

}  // namespace sotto::privacy
