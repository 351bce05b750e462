// What was released about a data set, in the accountant's own vocabulary: a mechanism, how the units that it saw were drawn,
// and how often. A DpEvent (event.h) says what the engine ran; a Release says anything that has a known privacy loss, so
// that other software's releases and plans compose with it. docs/accountant.md has the JSON and each mechanism's theorem.
// Distances between neighbours are in the unit that the noise is given in: 1 for a unit added, removed or zeroed, 2 for a
// unit replaced, unless the release says otherwise. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "privacy/mechanism/event.h"
#include "privacy/mechanism/neighbours.h"

namespace sotto::privacy {

struct GaussianNoise {
  double noise_multiplier = 0;  // sigma
  bool operator==(const GaussianNoise&) const = default;
};
// A group of units under Poisson sampling, or one unit of several sensitivities: sum_i probabilities[i] N(sensitivities[i],
// sigma^2) against N(0, sigma^2).
struct GaussianMixtureNoise {
  double noise_multiplier = 0;
  std::vector<double> sensitivities;  // >= 0
  std::vector<double> probabilities;  // sum to 1
  bool operator==(const GaussianMixtureNoise&) const = default;
};
struct LaplaceNoise {
  double scale = 0;  // distances are L1
  bool operator==(const LaplaceNoise&) const = default;
};
// On integer vectors. One coordinate, or a sum that moves in one coordinate alone: exact. Otherwise by the L2 distance.
struct DiscreteGaussianNoise {
  double stddev = 0;
  std::uint64_t dimension = 1;
  std::uint64_t shares = 1;  // the noise is the sum of so many
  bool operator==(const DiscreteGaussianNoise&) const = default;
};
struct SkellamNoise {
  double variance = 0;
  std::uint64_t dimension = 1;
  double l1_distance = 0;  // of neighbours, for dimension > 1; 0: min(distance^2, sqrt(dimension) distance)
  bool operator==(const SkellamNoise&) const = default;
};
struct DiscreteLaplaceNoise {
  double parameter = 0;  // P(x) ~ exp(-parameter |x|), one coordinate
  bool operator==(const DiscreteLaplaceNoise&) const = default;
};
struct RandomizedResponse {
  double noise_parameter = 0;  // the answer is uniform with this probability, true otherwise
  std::uint64_t buckets = 0;
  bool operator==(const RandomizedResponse&) const = default;
};
struct ZeroConcentrated {  // RDP of xi + rho * order
  double rho = 0;
  double xi = 0;
  bool operator==(const ZeroConcentrated&) const = default;
};
struct ApproximateDp {  // any (epsilon, delta)-DP mechanism
  double epsilon = 0;
  double delta = 0;
  bool operator==(const ApproximateDp&) const = default;
};
struct TreeAggregation {  // binary trees, restarted after each count; a unit takes part once in all
  double noise_multiplier = 0;
  std::vector<std::uint64_t> step_counts;
  bool operator==(const TreeAggregation&) const = default;
};
// Correlated noise C^-1 z, C lower triangular Toeplitz with the coefficients of `strategy` (a band, or all of them).
struct MatrixMechanism {
  double noise_multiplier = 0;
  std::vector<double> strategy;      // c_0 >= c_1 >= .. >= 0
  std::uint64_t steps = 0;           // n
  std::uint64_t participations = 1;  // of a unit, at most
  std::uint64_t min_separation = 1;  // steps between two of them, at least
  bool operator==(const MatrixMechanism&) const = default;
};
struct Release;
// The best of a random number of runs, alone, is released: hyperparameter tuning.
struct RepeatAndSelect {
  double mean = 1;              // expected number of runs
  std::optional<double> shape;  // of the truncated negative binomial, >= 0; none: Poisson
  std::vector<Release> run;     // what one run releases
  std::vector<std::vector<Release>>
      or_runs;  // what it may release instead, as its settings are drawn: the largest curve counts
  bool operator==(const RepeatAndSelect& other) const;
};

using Mechanism = std::variant<GaussianNoise, GaussianMixtureNoise, LaplaceNoise, DiscreteGaussianNoise, SkellamNoise,
                               DiscreteLaplaceNoise, RandomizedResponse, ZeroConcentrated, ApproximateDp, TreeAggregation,
                               MatrixMechanism, RepeatAndSelect>;
std::string_view name_of(const Mechanism& mechanism);  // "gaussian", "gaussian_mixture", ..

struct Sampling {
  std::optional<SamplingKind> kind;  // none: every unit, always
  double rate = 1;                   // poisson, truncated_poisson
  std::uint64_t population = 0;      // truncated_poisson, fixed_size
  bool population_is_bound = false;  // of truncated_poisson: there may be fewer
  std::uint64_t batch_size = 0;      // truncated_poisson, fixed_size
  std::uint64_t epoch_steps = 0;     // random_allocation: t
  std::uint64_t epoch_selected = 1;  // random_allocation: each unit is in k of t steps
  bool operator==(const Sampling&) const = default;
};

struct Release {
  Mechanism mechanism;
  Sampling sampling;
  std::optional<double> sensitivity;  // the distance between neighbours, where it is not the usual one
  double count = 1;                   // this many, each with fresh samples and noise; random_allocation: epochs
  double max_divergence = 0;          // log-ratio by which its outputs may differ from the mechanism's, each
  bool operator==(const Release&) const = default;
};

inline bool RepeatAndSelect::operator==(const RepeatAndSelect& other) const = default;

// Reading refuses unknown mechanisms, samplings and members, and values outside their range, by name.
Result<Release> release_from_json(const Json& json);

// Adds a release to a list, or its count to that of an equal one. Counts are doubles: a log's may exceed any integer type.
void add_release(std::vector<Release>& list, Release release);

// What the engine ran. Refused: noise too small for its certificate. A single step of a random allocation is none, nor one
// of several choices of a run: see releases_of.
Result<Release> release_of(const DpEvent& event);

// All of a log's events. Steps of random allocations are counted by epochs: an epoch that has begun counts whole, and a step
// without its epoch's first one is refused. So are events of different units.
Result<std::vector<Release>> releases_of(std::span<const DpEvent> events);

}  // namespace sotto::privacy
