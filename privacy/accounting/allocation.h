// Random allocation (balls and bins): each unit takes part in one of an epoch's t steps, uniformly, Gaussian noise in each.
// Feldman, Shenfeld 2025 (arXiv 2502.08202, 2602.17284). With the unit in step i the outputs' likelihood ratio to its
// absence is the average W of t independent ratios exp(x_i / sigma - 1/(2 sigma^2)), and delta(epsilon) = E[max(0, W -
// e^epsilon)] for removing and E[max(0, 1 - e^epsilon W)] for adding, both without the unit: convex in W. Spreading W about
// its mean therefore bounds both from above, in any composition, and merging it to means bounds both from below.
// docs/privacy.md, "Random allocation". Pure functions; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

struct AllocationAtom {
  double with = 0;     // probability when the unit takes part
  double without = 0;  // when it does not; 0: infinite loss
};

// One epoch, as outcomes with finitely many losses, for what allocation_has_room(). `tail` is the mass that may be given an
// infinite loss in `upper`.
struct AllocationAtoms {
  std::vector<AllocationAtom> upper;
  std::vector<AllocationAtom> lower;
};
// Noise multipliers from 0.05 to 1000, up to 1e7 steps: what the grids have room and the doubles have range for.
bool allocation_has_room(double sigma, std::uint64_t steps);

AllocationAtoms allocation_atoms(double sigma, std::uint64_t steps, double tail);

// The RDP of one epoch in which each unit is in `selected` of `steps` steps: at most that of `selected` epochs of
// floor(steps / selected) steps and one each (arXiv 2502.08202, theorem on k-out-of-t allocation).
std::unique_ptr<RdpCurve> allocation_rdp(double sigma, std::uint64_t steps, std::uint64_t selected);

}  // namespace sotto::privacy
