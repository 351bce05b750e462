#include "privacy/accounting/compose.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "privacy/accounting/release_losses.h"
#include "privacy/accounting/release_rdp.h"

namespace sotto::privacy {

double ProvenEpsilon::upper() const { return pld ? std::min(rdp, pld->upper) : rdp; }

Result<EpsilonBound> compose(std::span<const DpEvent> events, Delta delta, Neighbours neighbours) {
  SOTTO_TRY(const auto releases, releases_of(events));
  return epsilon_of_releases(releases, neighbours, delta);
}

Neighbours neighbours_of(std::span<const DpEvent> events) {
  const bool counted = std::ranges::any_of(events, [](const DpEvent& e) { return e.sampling == SamplingKind::kFixedSize; });
  return counted ? Neighbours::kReplace : Neighbours::kAddRemove;
}

Result<ProvenEpsilon> proven_epsilon(std::span<const Release> releases, Delta delta, Neighbours neighbours) {
  const auto rdp = epsilon_of_releases(releases, neighbours, delta);
  const auto pld = bracket_of_releases(releases, neighbours, delta);
  const bool bracketed = pld.ok() && std::isfinite(pld->epsilon.upper);
  if (!rdp.ok() && !bracketed) return rdp.error();
  ProvenEpsilon out;
  out.rdp = rdp.ok() ? rdp->epsilon.value() : std::numeric_limits<double>::infinity();
  if (bracketed) out.pld = pld->epsilon;
  out.direction = bracketed && pld->epsilon.upper <= out.rdp ? pld->direction : rdp->direction;
  return out;
}

Result<ProvenEpsilon> proven_epsilon(std::span<const DpEvent> events, Delta delta, Neighbours neighbours) {
  SOTTO_TRY(const auto releases, releases_of(events));
  return proven_epsilon(releases, delta, neighbours);
}

}  // namespace sotto::privacy
