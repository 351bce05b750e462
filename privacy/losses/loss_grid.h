// One step's privacy loss on a grid, from above and from below. Both are measures on the points offset + k * step:
//   upper  reveals at least as much: its delta(epsilon) is nowhere below the loss's, also after composition,
//   lower  reveals at most as much, within `edge_error` of loss.
// Each moves mass between neighbouring points so that P and Q keep their totals (upper: spread outwards; lower: contracted
// inwards), so that the error of a step is of second order in `step`. Doroshenko et al. 2022 (arXiv 2207.04380), section 4;
// docs/privacy.md, "The grid of losses". Pure functions; any thread.
#pragma once

#include <vector>

#include "privacy/losses/loss.h"

namespace sotto::privacy {

struct GridLoss {
  double offset = 0;
  double step = 0;
  std::vector<long> points;   // ascending: point k of upper and of lower is at offset + points[k] * step
  std::vector<double> upper;  // masses under P
  std::vector<double> lower;
  double upper_infinite = 0;  // mass under P of an infinite loss
  double lower_infinite = 0;
  double edge_error = 0;  // the true losses are these, within this much in each step

  double at(std::size_t k) const { return offset + static_cast<double>(points[k]) * step; }
};

// How far apart a loss's points may be: from each of the ascending losses on. Rare losses need few points.
struct BinWidths {
  std::vector<double> from;
  std::vector<double> width;
  double at(double loss) const;  // of the bin that begins there
};

// Losses below `from` and above `to` are cut: raised to the first point and made infinite in `upper`; dropped and lowered to
// the last point in `lower`. from < to; (to - from) / step below 2^24. No widths: a point at every step.
struct LossRange {
  double from = 0;
  double to = 0;
};
GridLoss put_on_grid(const PrivacyLoss& loss, double step, const LossRange& range, const BinWidths& widths = {});

// The range outside which P has at most the given masses, to nine digits.
LossRange loss_range(const PrivacyLoss& loss, double mass_below, double mass_above);

}  // namespace sotto::privacy
