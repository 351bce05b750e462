// Noise that is correlated over the steps of a run (DP-FTRL by matrix factorization: Kairouz et al. 2021, arXiv 2103.00039;
// Denisov et al. 2022, arXiv 2202.08312), for runs that cannot sample. With C = I + L lower triangular Toeplitz and X_t the
// step's clipped sum, what is released of step t is a function of
//   Y_t = X_t + [sum_{j>=1} c_j X_{t-j}] + Z_t,
// [] rounding to the grid and Z_t one discrete Gaussian a coordinate; so each step's estimate of X_t carries C^-1 Z, whose
// prefix sums are far smaller than those of independent noise. Both strategies approximate the square root of the prefix-sum
// matrix, c_j = binomial(2j, j) / 4^j:
//   banded  its first `bands` coefficients (Kalinin, Lampert 2024, arXiv 2405.13763)
//   blt     a sum of `bands` exponentials (buffered linear Toeplitz: Dvijotham et al. 2024, arXiv 2404.16706), by the
//           trapezoidal rule for c_j = (2/pi) integral of e^v / (1 + e^(2v))^(j+1)
// Coefficients are multiples of 2^-32, the same wherever exp() is. docs/privacy.md, "Correlated noise". Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "privacy/mechanism/noise.h"

namespace sotto::privacy {

struct Correlation {
  CorrelationKind kind = CorrelationKind::kIndependent;
  std::uint64_t bands = 0;  // c_0 .. c_{bands-1} are not 0; of blt: exponentials. independent: 0
  std::uint64_t steps = 1;  // of the run
  bool operator==(const Correlation&) const = default;
};
inline constexpr std::uint64_t kMostBands = 4096, kMostBuffers = 64, kMostCorrelatedSteps = 1'000'000, kMostBltSteps = 4096;

// Refused by value: bands of none, no bands of another kind or too many, runs that are too long.
Result<Correlation> checked(const Correlation& correlation);

// c_0 = 1 >= c_1 >= .. >= 0: all `steps` of them, or as many as are not 0. Exact but for double's rounding.
std::vector<double> coefficients(const Correlation& correlation);

// What rounding adds to the distance of two neighbours' Y, in grid units, over all steps and `dimension` coordinates.
std::uint64_t rounding_distance(const Correlation& correlation, std::uint64_t dimension);

// The grid of sums that are to be correlated: finer, so that this distance counts for little.
Grid correlated_grid(ClipNorm clip, std::size_t dimension);

// The event of one step of a run, for planning: `sampling` has what SamplingEvent::event() has.
DpEvent planned_event(const DpEvent& sampling, const Correlation& correlation, NoiseMultiplier sigma, const Grid& grid);

// The noise of one run: what it adds to a step depends on the steps before. It holds their exact sums in memory alone;
// nothing of it is ever written.
class CorrelatedNoise {
 public:
  CorrelatedNoise(const Correlation& correlation, std::size_t dimension);
  CorrelatedNoise(CorrelatedNoise&&) noexcept = default;
  CorrelatedNoise& operator=(CorrelatedNoise&&) noexcept = default;

  // Consumes the sum of the next step, whose units were drawn for that step of a run of as many steps (draw_separated); any
  // other is a broken invariant. sigma is the noise multiplier of Z: its deviation over the clip norm.
  NoisySum add_noise(ClippedSum&& sum, NoiseMultiplier sigma, RandomSource& random);

 private:
  std::int64_t secret_lag(std::size_t coordinate) const;
  double released_lag(std::size_t coordinate) const;
  void keep(const std::vector<std::int64_t>& sums, const std::vector<double>& released);

  Correlation correlation_;
  std::size_t dimension_;
  std::uint64_t done_ = 0;  // steps
  // Of banded: the last sums, the newest first. Of blt: one buffer an exponential. Sums in grid units (blt: 2^-12 of one).
  std::vector<std::vector<std::int64_t>> sums_;
  std::vector<std::vector<double>> released_;
  std::vector<std::int64_t> weights_;  // of each, in 2^-32
  std::vector<std::int64_t> decays_;   // blt
};

}  // namespace sotto::privacy
