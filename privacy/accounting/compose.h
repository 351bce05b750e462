// The ledger's arithmetic: what a sequence of events amounts to. Events in, never configs. Pure functions; any thread.
#pragma once

#include <optional>
#include <span>

#include "privacy/accounting/mechanism.h"
#include "privacy/losses/pld.h"
#include "privacy/mechanism/event.h"
#include "privacy/mechanism/neighbours.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

// The epsilon of releasing all of `events` (adaptively chosen, any mix of parameters) about one unit, by RDP, at `delta`:
// each event as its effective Gaussian plus its certificate's log-ratio (event.h). No events: epsilon 0. Refused: events of
// different units in one composition, noise too small for the certificate, samplers that have no curve for these neighbours,
// a result that is not finite.
Result<EpsilonBound> compose(std::span<const DpEvent> events, Delta delta, Neighbours neighbours = Neighbours::kAddRemove);

// The relation under which all of them have a guarantee: one unit replaced where a batch has a fixed size, since it tells
// how many units there are; otherwise one unit more or less.
Neighbours neighbours_of(std::span<const DpEvent> events);

// Both accountants' answers to one question.
struct ProvenEpsilon {
  double rdp = 0;              // upper bound; +inf where RDP has none
  std::optional<Bracket> pld;  // the epsilon of the dominating pairs lies in it; none where a release has no pair here
  Direction direction = Direction::kRemove;  // of the accountant with the smaller upper end
  double upper() const;                      // the smaller upper end: what is proven
  double lower() const { return pld ? pld->lower : 0; }
  bool contradicts() const { return pld && pld->lower > rdp; }  // impossible, unless one of them is wrong
};

// Guarantee: everything that was released satisfies (upper(), delta)-DP. Equal events may come together or one by one, in
// any order. Refused: what `compose` refuses, where the privacy losses have no finite answer either.
Result<ProvenEpsilon> proven_epsilon(std::span<const Release> releases, Delta delta,
                                     Neighbours neighbours = Neighbours::kAddRemove);
Result<ProvenEpsilon> proven_epsilon(std::span<const DpEvent> events, Delta delta,
                                     Neighbours neighbours = Neighbours::kAddRemove);

}  // namespace sotto::privacy
