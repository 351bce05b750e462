// Every neighbouring relation at once, of any releases: what a report and `sotto-audit --relations` show. Pure functions;
// any thread.
#pragma once

#include <cstdint>
#include <span>

#include "privacy/accounting/profile.h"

namespace sotto::privacy {

// Each an epsilon at the same delta; refused where no theorem bounds these releases under that relation.
struct Relations {
  Result<Bracket> remove, add;  // one unit
  Result<Bracket> replace;
  Result<Bracket> zero_out;
  Result<Bracket> group;  // up to `group_size` units more or less; where there is no other, replaced
  std::uint64_t group_size = 1;
  Direction worse = Direction::kRemove;  // of remove and add
};
Relations relations_of(std::span<const Release> releases, Delta delta, std::uint64_t group_size);

// Up to `group` units that all differ, from one unit's profile alone: of any mechanism, delta_K(epsilon) is at most
// (e^epsilon - 1) / (e^(epsilon / K) - 1) delta_1(epsilon / K) (Vadhan 2017, "The complexity of differential privacy",
// lemma 2.2). The lower end is one unit's. Refused: groups outside 1 to kLargestGroup, what PrivacyProfile::of refuses, and
// an epsilon that no profile reaches.
Result<Bracket> epsilon_of_group(std::span<const Release> releases, Neighbours neighbours, std::uint64_t group, Delta delta);

}  // namespace sotto::privacy
