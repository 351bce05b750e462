// The ledger's arithmetic: what a sequence of events amounts to. Events in, never configs. Pure functions; any thread.
#pragma once

#include <span>

#include "privacy/event.h"
#include "privacy/neighbours.h"
#include "privacy/rdp.h"

namespace sotto::privacy {

// The epsilon of releasing all of `events` (adaptively chosen, any mix of parameters) about one unit, by RDP, at `delta`:
// each event as its effective Gaussian plus its certificate's log-ratio (event.h). No events: epsilon 0. Refused: events of
// different units in one composition, noise too small for the certificate, samplers that have no curve for these neighbours,
// a result that is not finite.
Result<EpsilonBound> compose(std::span<const DpEvent> events, Delta delta, Neighbours neighbours = Neighbours::kAddRemove);

}  // namespace sotto::privacy
