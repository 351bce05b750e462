// The privacy profile of Gaussian steps, or of any releases: delta as a function of epsilon, and all that follows from it,
// each number with a certified bracket. Steps are composed as privacy losses (pld.h); Gaussian steps without sampling are
// one Gaussian (Balle, Wang 2018, arXiv 1805.06530, theorem 8), and when there are no others its closed form is used,
// rounded outwards. Pure functions and values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "privacy/accounting/mechanism.h"
#include "privacy/losses/pld.h"
#include "privacy/mechanism/neighbours.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

// What is compared: data sets that differ by `group` units, all of them added, removed, replaced or zeroed out.
struct Relation {
  Neighbours neighbours = Neighbours::kAddRemove;
  std::uint64_t group = 1;  // 1 to kLargestGroup (gaussian_loss.h)
};

struct DirectedBracket {
  Bracket bracket;
  Direction direction = Direction::kRemove;  // the one with the larger epsilon
};

// mu-Gaussian differential privacy that the steps have, up to delta 1e-12 (Dong, Roth, Su 2022, arXiv 1905.02383), and its
// regret: by how much the trade-off curve of mu lies below the steps' own (Gomez et al. 2025, arXiv 2503.10945).
struct GaussianDp {
  double mu = 0;  // from above
  double regret = 0;
};

class PrivacyProfile {
 public:
  // max_divergence: log-ratio by which both output distributions may differ from the Gaussians', over all steps.
  // Refused: a group outside 1 to kLargestGroup.
  static Result<PrivacyProfile> of(std::span<const GaussianSteps> steps, const Relation& relation, Delta delta,
                                   double max_divergence = 0);

  // Any releases that have privacy losses (release_losses.h); a group of one unit.
  static Result<PrivacyProfile> of(std::span<const Release> releases, Neighbours neighbours, Delta delta);

  DirectedBracket epsilon(Delta delta) const;  // narrow near the delta that the profile was made for
  Bracket epsilon(Delta delta, Direction direction) const;
  Bracket delta(double epsilon) const;  // epsilon >= 0, worse direction

  // Least false-negative rate of any test at this false-positive rate, from below: an f-DP trade-off curve that the steps
  // keep.
  double trade_off(double false_positive_rate) const;
  // Largest true-positive minus false-positive rate of any attack that guesses whether the unit took part.
  Bracket advantage() const { return delta(0); }
  GaussianDp gaussian_dp() const;
  // rho of zero-concentrated DP (Bun, Steinke 2016, arXiv 1605.02065); none for sampled steps, whose RDP is not linear.
  std::optional<double> zero_concentrated() const;

 private:
  PrivacyProfile() = default;
  std::optional<double> mu_;  // all steps without sampling: one Gaussian of this distance over its sigma
  // Each composed for the delta asked for and for the middle of the curve.
  struct Composed {
    std::vector<ComposedLoss> upper;
    std::vector<ComposedLoss> lower;  // empty: the same as `upper`
    const std::vector<ComposedLoss>& from_below() const { return lower.empty() ? upper : lower; }
  };
  std::vector<Composed> directions_;  // remove and add, or one of them when they are equal
  // The delta that the profile was made for, and epsilon there: pld_epsilon's and bracket_of_releases', so that every
  // question about these steps has one answer.
  std::optional<Delta> made_for_;
  DirectedBracket epsilon_there_;
  double max_divergence_ = 0;
};

// Only the epsilon, and faster: the other direction is composed only when its RDP does not show that it is smaller.
Result<DirectedBracket> pld_epsilon(std::span<const GaussianSteps> steps, Delta delta, const Relation& relation = {},
                                    double max_divergence = 0);

// Every relation at once.
struct AllRelations {
  Bracket remove, add;
  Bracket replace;
  Bracket zero_out;
  Bracket group;  // of `group_size` units added or removed
  std::uint64_t group_size = 1;
  Direction worse = Direction::kRemove;  // of remove and add
};
Result<AllRelations> pld_all_relations(std::span<const GaussianSteps> steps, Delta delta, std::uint64_t group_size,
                                       double max_divergence = 0);

// delta(epsilon) of two Gaussians mu standard deviations apart, rounded outwards; epsilon >= 0.
Bracket gaussian_delta(double mu, double epsilon);

}  // namespace sotto::privacy
