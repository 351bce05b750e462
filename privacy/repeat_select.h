// Tuning: of a random number of runs only the best one's output is released. Papernot, Steinke 2022 (arXiv 2110.03620v2).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "privacy/rdp.h"

namespace sotto::privacy {

struct RepeatedPart {
  std::unique_ptr<RdpCurve> curve;
  double count = 1;
  double max_divergence = 0;  // charged besides, for all of them
};

// The curve of repeating a run (its parts composed) K times, E[K] = mean >= 1: theorem 2 for K truncated negative binomial
// of the given shape (0: logarithmic, 1: geometric), theorem 6 for K Poisson (no shape).
std::unique_ptr<RdpCurve> repeated(std::vector<RepeatedPart> run, double mean, std::optional<double> shape);

}  // namespace sotto::privacy
