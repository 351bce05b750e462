// The range outside of which a loss has less than given masses, found by bisection over the logarithm.
#include <cmath>

#include "privacy/losses/loss_grid.h"

namespace sotto::privacy {
namespace {

// The least |loss|, to nine digits, beyond which `mass(loss)` is at most `limit`.
template <class Mass>
double find_end(const Mass& mass, double limit) {
  double low = -45, high = std::log(kLargestLoss);
  if (mass(std::exp(low)) <= limit) return std::exp(low);
  while (high - low > 1e-9) {
    const double middle = (low + high) / 2;
    (mass(std::exp(middle)) <= limit ? high : low) = middle;
  }
  return std::exp(high);
}

}  // namespace

LossRange loss_range(const PrivacyLoss& loss, double mass_below, double mass_above) {
  const auto below = [&](double edge) {
    const double edges[] = {edge};
    return loss.masses(edges)[0].p_high;
  };
  const auto above = [&](double edge) {
    const double edges[] = {edge};
    const LossMass mass = loss.masses(edges)[1];
    return mass.q_high > 0 ? mass.p_high : 0;  // an infinite loss has no end
  };
  LossRange range;
  if (above(0) > mass_above) range.to = find_end(above, mass_above);
  if (below(0) > mass_below) range.from = -find_end([&](double x) { return below(-x); }, mass_below);
  return range;
}

}  // namespace sotto::privacy
