// The Renyi differential privacy of releases (mechanism.h). Each mechanism's theorem: docs/accountant.md. Pure functions;
// any thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "privacy/accounting/mechanism.h"
#include "privacy/renyi/noise_pairs.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

// The distance between neighbours that the release's noise has to hide: its own, else 2 where a unit is replaced and else 1.
double distance_of(const Release& release, Neighbours neighbours);

// The log-ratio that the certificate of discrete Gaussian noise charges besides, for each release; 0 for others.
double certificate_of(const Release& release);

// One time the release, less its max_divergence. Refused by name: a mechanism, sampling and relation that have no proven
// curve.
Result<std::unique_ptr<RdpCurve>> rdp_curve(const Release& release, Neighbours neighbours);

// All of them.
Result<EpsilonBound> epsilon_of_releases(std::span<const Release> releases, Neighbours neighbours, Delta delta);

// The square root of the summed squares by which a matrix mechanism or tree moves for one unit, at distance 1.
double correlated_sensitivity(const MatrixMechanism& matrix);
double correlated_sensitivity(const TreeAggregation& tree);

// Discrete Gaussian noise in many coordinates, or of many shares, as a multiple of `distance` of a continuous Gaussian whose
// randomised rounding it is (event.h): docs/privacy.md, sections 4.2 and 4.3. Refused below its smallest stddev.
Result<double> certified_multiplier(const DiscreteGaussianNoise& noise, double distance);

// Randomized response's outcomes by two neighbours, those of equal ratios as one.
std::vector<Outcome> outcomes_of(const RandomizedResponse& response, Neighbours neighbours);

// Truncated Poisson sampling, as seen by one unit (docs/privacy.md, "Other samplers").
struct Truncation {
  double probability = 0;      // that the others alone fill the batch: a bound from above
  double probability_low = 0;  // and one from below
  double rate = 0;             // given that, that the unit is in the batch, in another's place: from above
};
Truncation truncation_of(const Sampling& sampling);

}  // namespace sotto::privacy
