#include "privacy/losses/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace sotto::privacy {

Result<AtomicLoss> AtomicLoss::make(std::span<const LossAtom> atoms, double relative_error, double atom_spacing) {
  std::vector<Placed> placed;
  for (const LossAtom& atom : atoms) {
    if (!(atom.p >= 0 && atom.q >= 0 && atom.p <= 1.0 + 1e-9 && atom.q <= 1.0 + 1e-9)) {
      return invalid("privacy loss: probabilities " + std::to_string(atom.p) + " and " + std::to_string(atom.q) +
                     " of an output; give numbers from 0 to 1");
    }
    if (atom.p == 0) continue;  // no part of the loss under P
    const double loss = atom.q > 0 ? std::log(atom.p) - std::log(atom.q) : std::numeric_limits<double>::infinity();
    placed.push_back({loss, atom.p, atom.q});
  }
  if (placed.empty()) return invalid("privacy loss: no output has a probability above 0; give at least one");
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.loss < b.loss; });
  return AtomicLoss(std::move(placed), relative_error, atom_spacing);
}

std::vector<LossMass> AtomicLoss::masses(std::span<const double> edges) const {
  std::vector<LossMass> out(edges.size() + 1);
  std::size_t interval = 0;
  for (const Placed& atom : atoms_) {
    // An atom that rounding put just below its edge belongs to it: the edges are met to within kEdgeError.
    const double loss = atom.loss + kEdgeError / 2 * std::max(1.0, std::abs(atom.loss));
    while (interval < edges.size() && loss >= edges[interval]) ++interval;
    LossMass& mass = out[interval];
    mass.p_low += atom.p;
    mass.q_low += atom.q;
  }
  const double error = relative_error_ + 0x1p-53 * static_cast<double>(atoms_.size() + 1);
  for (LossMass& mass : out) {
    mass.p_high = mass.p_low * (1 + error);
    mass.p_low *= 1 - error;
    mass.q_high = mass.q_low * (1 + error);
    mass.q_low *= 1 - error;
  }
  return out;
}

}  // namespace sotto::privacy
