// The privacy losses of releases (mechanism.h), for composition with certified brackets (pld.h). Each mechanism's dominating
// pair: docs/accountant.md. Pure functions; any thread.
#pragma once

#include <memory>
#include <span>

#include "privacy/mechanism.h"
#include "privacy/pld.h"
#include "privacy/rdp.h"

namespace sotto::privacy {

// One time the release, less its max_divergence. `lower` is empty where `upper` is the mechanism's dominating pair itself.
struct ReleaseLoss {
  std::unique_ptr<PrivacyLoss> upper;
  std::unique_ptr<PrivacyLoss> lower;
  std::uint64_t times = 1;  // the pair counts so often for each release
};

// `delta` is what the composition will be asked at: losses that are computed by cutting tails cut less than a billionth of
// it. Refused by name: mechanisms, samplings and relations that have no dominating pair here.
Result<ReleaseLoss> loss_of(const Release& release, Neighbours neighbours, Direction direction, double delta);

struct ReleasesBracket {
  Bracket epsilon;                           // of the dominating pairs, in the worse direction
  Direction direction = Direction::kRemove;  // the one with the larger upper end
};
Result<ReleasesBracket> bracket_of_releases(std::span<const Release> releases, Neighbours neighbours, Delta delta);

}  // namespace sotto::privacy
