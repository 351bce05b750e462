#include "privacy/calibrate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/check.h"
#include "privacy/profile.h"

namespace sotto::privacy {
namespace {

constexpr double kPrecision = 1e-7;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Left free for the discrete mechanism's certificate (below 1e-20 for any plan) and for rounding.
double reachable(Epsilon epsilon) { return epsilon.value() - std::min(1e-9, epsilon.value() / 1000); }

// ln(epsilon of a parameter / target): at most 0 keeps the target.
using Excess = std::function<double(double)>;

// A parameter, and by how much it misses.
struct Trial {
  double at = 0;
  double excess = 0;
};
Trial trial(const Excess& excess, double at) { return {at, excess(at)}; }

// Narrows the gap between a parameter that keeps the target and one that does not, by regula falsi in logarithms (Illinois),
// and by halving where epsilon is 0 or infinite. Returns the one that keeps it. Parameters are multiples of `unit`, if any.
double narrow(Trial keeps, Trial breaks, double unit, const Excess& excess) {
  double keeps_weight = keeps.excess;
  double breaks_weight = breaks.excess;
  int stale = 0;  // how often the same side moved
  for (int i = 0; i < 200; ++i) {
    const double gap = std::log(breaks.at / keeps.at);
    if (unit > 0 ? std::abs(breaks.at - keeps.at) <= unit : std::abs(gap) <= kPrecision) break;
    double share = 0.5;
    if (std::isfinite(keeps_weight) && std::isfinite(breaks_weight) && stale < 4) {
      share = keeps_weight / (keeps_weight - breaks_weight);
      const double margin = std::min(0.4 * kPrecision / std::abs(gap), 0.25);  // step over the root, to close the other side
      share = std::clamp(share, margin, 1 - margin);
    }
    double at = keeps.at * std::exp(share * gap);
    if (unit > 0) {
      const double low = std::min(keeps.at, breaks.at) + unit;
      const double high = std::max(keeps.at, breaks.at) - unit;
      at = std::clamp(std::round(at / unit) * unit, low, high);
    }
    const Trial here = trial(excess, at);
    const bool kept = here.excess <= 0;
    stale = kept == (i > 0 && keeps_weight == keeps.excess && breaks_weight != breaks.excess) ? stale + 1 : 0;
    if (kept) {
      keeps = here;
      keeps_weight = here.excess;
      breaks_weight /= 2;
    } else {
      breaks = here;
      breaks_weight = here.excess;
      keeps_weight /= 2;
    }
  }
  return keeps.at;
}

Error out_of_reach(Epsilon epsilon, const std::string& what) {
  return refused("epsilon " + std::to_string(epsilon.value()) + " is out of reach: " + what);
}

Excess excess_of(Epsilon epsilon, Delta delta, Accountant accountant, std::function<GaussianSteps(double)> steps) {
  const double target = reachable(epsilon);
  return [=](double at) { return std::log(epsilon_upper(steps(at), delta, accountant) / target); };
}

}  // namespace

std::string_view to_string(Accountant accountant) {
  switch (accountant) {
    case Accountant::kRdp: return "rdp";
    case Accountant::kPld: return "pld";
  }
  throw Failure("an accountant outside its enumeration");
}

Result<Accountant> accountant_from_string(std::string_view name) {
  for (const Accountant known : {Accountant::kRdp, Accountant::kPld}) {
    if (name == to_string(known)) return known;
  }
  return invalid("accountant '" + std::string(name) + "' is not known; use pld or rdp");
}

double epsilon_upper(const GaussianSteps& steps, Delta delta, Accountant accountant) {
  if (accountant == Accountant::kRdp) {
    const auto bound = epsilon_of_steps({&steps, 1}, delta);
    return bound.ok() ? bound->epsilon.value() : kInfinity;
  }
  const auto bound = pld_epsilon({&steps, 1}, delta);
  return bound.ok() ? bound->bracket.upper : kInfinity;
}

Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps,
                                        Accountant accountant) {
  if (steps == 0) return invalid("steps is 0; give the number of steps that the run will take");
  const Excess excess = excess_of(epsilon, delta, accountant, [=](double sigma) {
    return GaussianSteps{NoiseMultiplier(sigma), rate, steps};
  });
  double start = 1;
  if (accountant == Accountant::kPld) {  // not far above what is looked for, as a rule
    const auto by_rdp = calibrate_noise(epsilon, delta, rate, steps, Accountant::kRdp);
    if (by_rdp.ok()) start = by_rdp->value();
  }
  const double factor = accountant == Accountant::kPld ? 1.15 : 2;
  Trial keeps = trial(excess, start);
  Trial breaks = keeps;
  while (!(keeps.excess <= 0)) {
    breaks = keeps;
    if (keeps.at * factor > 1e6) {
      return out_of_reach(epsilon, "it would need noise above 1000000 times the sensitivity; take fewer steps");
    }
    keeps = trial(excess, keeps.at * factor);
  }
  while (!(breaks.excess > 0)) {
    keeps = breaks;
    if (keeps.at / factor < 1e-3) return NoiseMultiplier(keeps.at);
    breaks = trial(excess, keeps.at / factor);
  }
  return NoiseMultiplier(narrow(keeps, breaks, 0, excess));
}

Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma,
                                      Accountant accountant) {
  const Excess excess = excess_of(epsilon, delta, accountant, [=](double steps) {
    return GaussianSteps{sigma, rate, static_cast<std::uint64_t>(steps)};
  });
  Trial keeps = trial(excess, 1);
  if (!(keeps.excess <= 0)) return out_of_reach(epsilon, "one step already exceeds it; use more noise or a smaller rate");
  constexpr double kMost = 0x1p40;
  Trial breaks = trial(excess, 2);
  while (!(breaks.excess > 0)) {
    keeps = breaks;
    if (keeps.at >= kMost) return static_cast<std::uint64_t>(keeps.at);
    breaks = trial(excess, 2 * keeps.at);
  }
  return static_cast<std::uint64_t>(narrow(keeps, breaks, 1, excess));
}

Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps,
                                    Accountant accountant) {
  if (steps == 0) return invalid("steps is 0; give the number of steps that the run will take");
  const Excess excess = excess_of(epsilon, delta, accountant, [=](double rate) {
    return GaussianSteps{sigma, SamplingRate(rate), steps};
  });
  Trial breaks = trial(excess, 1);
  if (breaks.excess <= 0) return SamplingRate(1);
  Trial keeps = breaks;
  while (!(keeps.excess <= 0)) {
    breaks = keeps;
    if (keeps.at / 2 < 1e-12) {
      return out_of_reach(epsilon, "no sampling rate above 1e-12 stays below it; use more noise or fewer steps");
    }
    keeps = trial(excess, keeps.at / 2);
  }
  return SamplingRate(narrow(keeps, breaks, 0, excess));
}

}  // namespace sotto::privacy
