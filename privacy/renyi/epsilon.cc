// From Rényi divergences to epsilon at a delta: the smallest over all orders.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "base/check.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {
namespace {

// The composition's RDP curve and what it means at one delta. Composition: Mironov 2017, proposition 1. The max-divergence:
// docs/privacy.md, "The noise".
class Composition {
 public:
  Composition(std::span<const RdpSteps> steps, Delta delta, double max_divergence)
      : steps_(steps), delta_(delta), max_divergence_(max_divergence) {}

  double rdp(double order, Direction direction) const {
    double total = max_divergence_ * (2 * order - 1) / (order - 1);
    for (const RdpSteps& step : steps_) {
      if (step.count > 0) total += step.count * step.curve->at(order, direction);
    }
    return total;
  }

  // What is minimised: epsilon_of_rdp without its floor at 0, so that it has one valley.
  double objective(double order, Direction direction) const {
    return rdp(order, direction) + std::log1p(-1 / order) - std::log(delta_.value() * order) / (order - 1);
  }

  double epsilon(double order, Direction direction) const { return epsilon_of_rdp(order, rdp(order, direction), delta_); }
  double log_one_over_delta() const { return -std::log(delta_.value()); }

 private:
  std::span<const RdpSteps> steps_;
  Delta delta_;
  double max_divergence_;
};

// Where a function with one valley is smallest, between `low` and `high`, from the inner point `x` of value `fx`: parabolas
// through the three best points, golden sections where they do not help (Brent 1973, chapter 5).
double valley(double low, double x, double high, double fx, const std::function<double(double)>& f) {
  constexpr double kTolerance = 1e-5;  // of ln(order - 1): epsilon is flat at its best order, and moves by its square
  constexpr double kGolden = 0.3819660112501051;  // (3 - sqrt(5)) / 2
  // Brent needs some 20. At a kink (a curve known at whole orders, chords between) parabolas may step on one end for ever: any
  // order gives a bound, so that the search may stop.
  constexpr int kMostSteps = 100;
  double w = x, v = x, fw = fx, fv = fx;
  double move = 0;
  double before_last = high - low;
  for (int step = 0; step < kMostSteps && std::max(high - x, x - low) > 2 * kTolerance; ++step) {
    const double r = (x - w) * (fx - fv);
    const double q = (x - v) * (fx - fw);
    const double p = (x - v) * q - (x - w) * r;
    const double slope = 2 * (q - r);
    const double parabola = slope != 0 ? -p / slope : 2 * (high - low);
    const bool inside = x + parabola > low && x + parabola < high && std::abs(parabola) < std::abs(before_last) / 2;
    before_last = move;
    move = inside ? parabola : kGolden * (x >= (low + high) / 2 ? low - x : high - x);
    if (!inside) before_last = x >= (low + high) / 2 ? low - x : high - x;
    if (std::abs(move) < kTolerance) move = std::copysign(kTolerance, move);
    const double u = std::clamp(x + move, low, high);
    const double fu = f(u);
    if (fu <= fx) {
      (u >= x ? low : high) = x;
      v = w, fv = fw, w = x, fw = fx, x = u, fx = fu;
      continue;
    }
    (u < x ? low : high) = u;
    if (fu <= fw || w == x) {
      v = w, fv = fw, w = u, fw = fu;
    } else if (fu <= fv || v == x || v == w) {
      v = u, fv = fu;
    }
  }
  return x;
}

// epsilon(alpha) is a convex function over alpha - 1, hence quasi-convex (docs/privacy.md, "The best order"), and so it is
// in t = ln(alpha - 1): doubling brackets its minimum.
double best_order(const Composition& composition, Direction direction) {
  const double first = std::log(kSmallestOrder - 1);
  const double last = std::log(kLargestOrder - 1);
  const auto f = [&](double t) {
    const double value = composition.objective(std::clamp(1 + std::exp(t), kSmallestOrder, kLargestOrder), direction);
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
  };
  // The best order of a Gaussian whose divergence at order 2 is the composition's; not far out, where sampled steps cost
  // more.
  const double guess = 0.5 * std::log(2 * composition.log_one_over_delta() / composition.rdp(2, direction));
  double x = std::isfinite(guess) ? std::clamp(guess, first, 3.0) : 0;
  double fx = f(x);
  double low = std::max(first, x - 0.5);
  double high = std::min(last, x + 0.5);
  double step = 1;
  for (double fl = f(low); fl < fx && low > first; step *= 2) {
    high = x, x = low, fx = fl;
    low = std::max(first, x - step);
    fl = f(low);
  }
  step = 1;
  for (double fh = f(high); fh < fx && high < last; step *= 2) {
    low = x, x = high, fx = fh;
    high = std::min(last, x + step);
    fh = f(high);
  }
  while (fx == std::numeric_limits<double>::infinity() && x > first) {  // curves without a value at the guess
    high = x;
    x = std::max(first, x - 1);
    low = first;
    fx = f(x);
  }
  const double found = valley(low, x, high, fx, f);
  return std::clamp(1 + std::exp(found), kSmallestOrder, kLargestOrder);
}

struct Found {
  double epsilon = 0;
  double order = 0;
};

// Near order 1 the divergence is near KL, which may show epsilon 0 by itself.
Found smallest_epsilon(const Composition& composition, Direction direction) {
  const double at_first = composition.epsilon(kSmallestOrder, direction);
  if (at_first == 0) return {0, kSmallestOrder};
  const double order = best_order(composition, direction);
  return {composition.epsilon(order, direction), order};
}

}  // namespace

Result<EpsilonBound> epsilon_of_curves(std::span<const RdpSteps> steps, Delta delta, double max_divergence) {
  SOTTO_CHECK(max_divergence >= 0);
  if (steps.empty() && max_divergence == 0) return EpsilonBound{};
  const Composition composition(steps, delta, max_divergence);
  Found worst = smallest_epsilon(composition, Direction::kRemove);
  Direction direction = Direction::kRemove;
  // Where adding diverges no more at that order, it has no larger epsilon at its own best one.
  if (!(composition.epsilon(worst.order, Direction::kAdd) <= worst.epsilon)) {
    const Found add = smallest_epsilon(composition, Direction::kAdd);
    if (!(add.epsilon <= worst.epsilon)) {
      worst = add;
      direction = Direction::kAdd;
    }
  }
  if (!std::isfinite(worst.epsilon)) return refused("the privacy loss of these steps has no finite epsilon; use more noise");
  return EpsilonBound{Epsilon(worst.epsilon), worst.order, direction};
}

Result<EpsilonBound> epsilon_of_steps(std::span<const GaussianSteps> steps, Delta delta, double max_divergence) {
  struct Phase {
    GaussianSteps step;
    std::unique_ptr<RdpCurve> curve;
    double count;  // of all such steps together: a sum of counts from a log may exceed any integer type
  };
  std::vector<Phase> phases;
  for (const GaussianSteps& step : steps) {
    const auto same = std::find_if(phases.begin(), phases.end(), [&](const Phase& other) {
      return other.step.sigma == step.sigma && other.step.rate == step.rate;
    });
    if (same == phases.end()) {
      phases.push_back({step, rdp_curve_of_step(step.sigma, step.rate), static_cast<double>(step.steps)});
    } else {
      same->count += static_cast<double>(step.steps);
    }
  }
  std::vector<RdpSteps> curves;
  for (const Phase& phase : phases) curves.push_back({phase.curve.get(), phase.count});
  return epsilon_of_curves(curves, delta, max_divergence);
}

}  // namespace sotto::privacy
