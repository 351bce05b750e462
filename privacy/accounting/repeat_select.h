// Tuning: of a random number of runs only the best one's output is released. Papernot, Steinke 2022 (arXiv 2110.03620v2).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"
#include "privacy/mechanism/event.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

struct RepeatedPart {
  std::unique_ptr<RdpCurve> curve;
  double count = 1;
  double max_divergence = 0;  // charged besides, for all of them
};

// The curve of repeating a run K times, E[K] = mean >= 1: theorem 2 for K truncated negative binomial of the given shape
// (0: logarithmic, 1: geometric), theorem 6 for K Poisson (no shape). A run is one of `runs` (each its parts composed),
// drawn by chance anew each time; which one it was may be told. Its curve is then at most the largest: e^((a - 1) D) is a
// mean of theirs.
std::unique_ptr<RdpCurve> repeated(std::vector<std::vector<RepeatedPart>> runs, double mean, std::optional<double> shape);

// How many runs there are, exactly of the distribution, from whole random numbers alone; whoever learns it learns more than
// the bound covers. trials.mean is a whole number, which only this function asks.
std::uint64_t draw_number(const Trials& trials, RandomSource& random);

}  // namespace sotto::privacy
