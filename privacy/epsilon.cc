#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/check.h"
#include "privacy/rdp.h"

namespace sotto::privacy {
namespace {

// The composition's RDP curve and what it means at one delta.
class Composition {
 public:
  Composition(std::span<const GaussianSteps> steps, double max_divergence, Delta delta)
      : max_divergence_(max_divergence), delta_(delta) {
    for (const GaussianSteps& step : steps) {
      const auto same = std::find_if(phases_.begin(), phases_.end(), [&](const Phase& other) {
        return other.sigma == step.sigma && other.rate == step.rate;
      });
      if (same == phases_.end()) {
        phases_.push_back({step.sigma, step.rate, static_cast<double>(step.steps)});
      } else {
        same->steps += static_cast<double>(step.steps);
      }
    }
  }

  // Composition: Mironov 2017, proposition 1. The max-divergence: docs/privacy.md, "The noise".
  double rdp(double order, Direction direction) const {
    double total = max_divergence_ * (2 * order - 1) / (order - 1);
    for (const Phase& phase : phases_) total += phase.steps * rdp_of_step(order, phase.sigma, phase.rate, direction);
    return total;
  }

  double epsilon(double order) const { return epsilon_of_rdp(order, rdp(order, Direction::kRemove), delta_); }

  // Both directions at one order: what is reported holds whichever of them is larger there.
  Result<EpsilonBound> bound(double order) const {
    const double remove = rdp(order, Direction::kRemove);
    const double add = rdp(order, Direction::kAdd);
    const double epsilon = epsilon_of_rdp(order, std::max(remove, add), delta_);
    if (!std::isfinite(epsilon)) return refused("the privacy loss of these steps has no finite epsilon; use more noise");
    return EpsilonBound{Epsilon(epsilon), order, remove >= add ? Direction::kRemove : Direction::kAdd};
  }

 private:
  struct Phase {
    NoiseMultiplier sigma;
    SamplingRate rate;
    double steps;  // of all such steps together: a sum of counts from a log may exceed any integer type
  };
  std::vector<Phase> phases_;
  double max_divergence_;
  Delta delta_;
};

// Where a quasi-convex function on [low, high] is smallest, to within `tolerance`.
double golden_section(double low, double high, double tolerance, const std::function<double(double)>& f) {
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low);
  double b = low + kGolden * (high - low);
  double fa = f(a);
  double fb = f(b);
  while (high - low > tolerance) {
    if (fa <= fb) {
      high = b;
      b = a;
      fb = fa;
      a = high - kGolden * (high - low);
      fa = f(a);
    } else {
      low = a;
      a = b;
      fa = fb;
      b = low + kGolden * (high - low);
      fb = f(b);
    }
  }
  return fa <= fb ? a : b;
}

constexpr double kLargestFractionalOrder = 64;  // above it a whole order is as good

// epsilon(alpha) is a convex function over alpha - 1, hence quasi-convex (docs/privacy.md, "The best order"): doubling
// brackets its minimum and golden sections find it.
double best_order(const Composition& composition) {
  double best = 2;
  double least = composition.epsilon(best);
  for (double order = 4; order <= kLargestOrder; order *= 2) {
    const double epsilon = composition.epsilon(order);
    if (epsilon > least) break;
    best = order;
    least = epsilon;
  }
  if (2 * best <= kLargestFractionalOrder) {
    const double low = best == 2 ? kSmallestOrder : best / 2;
    const auto order_at = [](double t) { return std::max(kSmallestOrder, 1 + std::exp(t)); };
    return order_at(golden_section(std::log(low - 1), std::log(2 * best - 1), 1e-5,
                                   [&](double t) { return composition.epsilon(order_at(t)); }));
  }
  const double high = std::min(2 * best, kLargestOrder);
  return std::round(
      golden_section(best / 2, high, 0.5, [&](double order) { return composition.epsilon(std::round(order)); }));
}

}  // namespace

Result<EpsilonBound> epsilon_of_steps(std::span<const GaussianSteps> steps, Delta delta, double max_divergence) {
  SOTTO_CHECK(max_divergence >= 0);
  if (steps.empty() && max_divergence == 0) return EpsilonBound{};
  const Composition composition(steps, max_divergence, delta);
  // Near order 1 the divergence is near KL, which may show epsilon 0 by itself.
  Result<EpsilonBound> smallest = composition.bound(kSmallestOrder);
  if (smallest.ok() && smallest->epsilon.value() == 0) return smallest;
  return composition.bound(best_order(composition));
}

}  // namespace sotto::privacy
