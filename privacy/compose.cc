#include "privacy/compose.h"

#include "privacy/mechanism.h"
#include "privacy/release_rdp.h"

namespace sotto::privacy {

Result<EpsilonBound> compose(std::span<const DpEvent> events, Delta delta, Neighbours neighbours) {
  SOTTO_TRY(const auto releases, releases_of(events));
  return epsilon_of_releases(releases, neighbours, delta);
}

}  // namespace sotto::privacy
