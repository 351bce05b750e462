// The privacy losses of releases (mechanism.h), for composition with certified brackets (pld.h). Each mechanism's dominating
// pair: docs/accountant.md. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "privacy/accounting/allocation.h"
#include "privacy/accounting/mechanism.h"
#include "privacy/losses/pld.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

// One time the release, less its max_divergence. `lower` is empty where `upper` is the mechanism's dominating pair itself.
struct ReleaseLoss {
  std::unique_ptr<PrivacyLoss> upper;
  std::unique_ptr<PrivacyLoss> lower;
  std::uint64_t times = 1;  // the pair counts so often for each release
};

// Random allocations whose atoms are known: both directions of a release ask for the same.
class KnownAllocations {
 public:
  const AllocationAtoms& of(double sigma, std::uint64_t steps, double tail);

 private:
  std::map<std::tuple<double, std::uint64_t, double>, AllocationAtoms> known_;
};

// `delta` is what the composition will be asked at: losses that are computed by cutting tails cut less than a billionth of
// it. Refused by name: mechanisms, samplings and relations that have no dominating pair here.
Result<ReleaseLoss> loss_of(const Release& release, Neighbours neighbours, Direction direction, double delta,
                            KnownAllocations& known);

// All releases' losses in one direction, ready to compose.
struct DirectedLosses {
  std::vector<ReleaseLoss> owned;
  std::vector<LossSteps> upper;
  std::vector<LossSteps> lower;  // empty: the same as `upper`
  double log_ratio = 0;          // by which P and Q may each differ from the pair's, all steps together
  double width = 0;              // PldTarget's
  bool refine = true;            // the same
};
Result<DirectedLosses> losses_of(std::span<const Release> releases, Neighbours neighbours, Direction direction, Delta delta,
                                 KnownAllocations& known);

// Poisson-sampled Gaussian noise of the usual distance, and nothing else: what profile.h composes as such.
struct GaussianReleases {
  std::vector<GaussianSteps> steps;
  double max_divergence = 0;  // of all together
};
std::optional<GaussianReleases> gaussian_releases(std::span<const Release> releases);

struct ReleasesBracket {
  Bracket epsilon;                           // of the dominating pairs, in the worse direction
  Direction direction = Direction::kRemove;  // the one with the larger upper end
};
// The one answer to what these releases spend: ledgers, plans, calibration and every command take it from here.
Result<ReleasesBracket> bracket_of_releases(std::span<const Release> releases, Neighbours neighbours, Delta delta);

}  // namespace sotto::privacy
