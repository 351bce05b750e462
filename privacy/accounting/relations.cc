#include "privacy/accounting/relations.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "privacy/accounting/release_losses.h"
#include "privacy/losses/gaussian_loss.h"

namespace sotto::privacy {
namespace {

Result<Bracket> finite(const Bracket& epsilon) {
  if (std::isfinite(epsilon.upper)) return epsilon;
  return refused("the privacy losses are too large for a bracket at this delta");
}

Relations of_gaussians(const GaussianReleases& gaussian, Delta delta, std::uint64_t group_size) {
  const auto all = pld_all_relations(gaussian.steps, delta, group_size, gaussian.max_divergence);
  if (!all.ok()) return {all.error(), all.error(), all.error(), all.error(), all.error(), group_size};
  return {finite(all->remove), finite(all->add), finite(all->replace), finite(all->zero_out), finite(all->group),
          group_size,          all->worse};
}

// As far as one unit's profile reaches; +inf beyond.
double chained(const PrivacyProfile& one_unit, double units, Delta delta) {
  const auto holds = [&](double each) {
    const double factor = each > 0 ? std::expm1(units * each) / std::expm1(each) : units;
    return factor * one_unit.delta(each).upper * (1 + 1e-9) <= delta.value();
  };
  // One unit's epsilon for the group's: found from below in growing steps, then by halving.
  const Bracket one = one_unit.epsilon(delta).bracket;
  if (!std::isfinite(one.upper)) return one.upper;
  double low = one.lower / units;
  double high = std::max(one.upper, 1e-6);
  while (!holds(high)) {
    low = high;
    high *= 1.25;
    if (!(units * high < kLargestLoss)) return std::numeric_limits<double>::infinity();
  }
  while (high - low > 1e-6 * high) {
    const double middle = low + (high - low) / 2;
    (holds(middle) ? high : low) = middle;
  }
  return units * high * (1 + 1e-12);
}

}  // namespace

Result<Bracket> epsilon_of_group(std::span<const Release> releases, Neighbours neighbours, std::uint64_t group,
                                 Delta delta) {
  if (group < 1 || group > kLargestGroup) {
    return invalid("group = " + std::to_string(group) + ", but it must be from 1 to " + std::to_string(kLargestGroup));
  }
  SOTTO_TRY(const auto profile, PrivacyProfile::of(releases, neighbours, delta));
  Bracket out = profile.epsilon(delta).bracket;
  if (group == 1 || !std::isfinite(out.upper)) return finite(out);
  const auto units = static_cast<double>(group);
  const double one = out.upper;
  out.upper = chained(profile, units, delta);
  // One unit's epsilon is asked at deltas as much smaller as the factor is large: a profile made for those.
  for (double share = 1; share <= 2 && !std::isfinite(out.upper); share += 0.5) {
    const double smaller = delta.value() * std::exp(-(units - 1) * one * share);
    if (!(smaller > 1e-250)) break;
    SOTTO_TRY(const auto farther, PrivacyProfile::of(releases, neighbours, Delta(smaller)));
    out.upper = chained(farther, units, delta);
  }
  if (std::isfinite(out.upper)) return out;
  return refused("the bound of a group of " + std::to_string(group) +
                 " from one unit's losses is too large to compute; ask about fewer units");
}

Relations relations_of(std::span<const Release> releases, Delta delta, std::uint64_t group_size) {
  if (const auto gaussian = gaussian_releases(releases)) return of_gaussians(*gaussian, delta, group_size);
  const auto profile = [&](Neighbours neighbours) { return PrivacyProfile::of(releases, neighbours, delta); };
  const auto both = profile(Neighbours::kAddRemove);
  const auto replace = profile(Neighbours::kReplace);
  const auto zero_out = profile(Neighbours::kZeroOut);
  const auto worse = [&](const Result<PrivacyProfile>& of) -> Result<Bracket> {
    if (!of.ok()) return of.error();
    return finite(of->epsilon(delta).bracket);
  };
  const auto directed = [&](Direction direction) -> Result<Bracket> {
    if (!both.ok()) return both.error();
    return finite(both->epsilon(delta, direction));
  };
  const Neighbours of_group = both.ok() ? Neighbours::kAddRemove : Neighbours::kReplace;
  const auto group = epsilon_of_group(releases, of_group, group_size, delta);
  Relations out{directed(Direction::kRemove), directed(Direction::kAdd), worse(replace), worse(zero_out), group, group_size};
  if (both.ok()) out.worse = both->epsilon(delta).direction;
  return out;
}

}  // namespace sotto::privacy
