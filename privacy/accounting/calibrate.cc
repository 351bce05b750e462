#include "privacy/accounting/calibrate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/check.h"
#include "base/json.h"
#include "privacy/accounting/release_losses.h"
#include "privacy/accounting/release_rdp.h"

namespace sotto::privacy {
namespace {

constexpr double kPrecision = 1e-7;            // of a parameter, relative
constexpr double kAllocationPrecision = 1e-5;  // each trial is a tenth of a second
constexpr double kStartPrecision = 1e-3;       // of an answer that only begins another search
constexpr double kFinestPrecision =
    1e-14;  // where epsilon is so steep that the first leaves more than kUnused of the target
constexpr double kUnused = 2e-3;
// How far a search goes at once towards the other side of the target.
constexpr double kLeastFactor = 1 + 1e-3;
constexpr double kMostFactor = 16;
// Steps are whole; of many, the last digits are below what a bracket can tell.
constexpr double kStepPrecision = 1e-5;
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

// The least and the largest value that a search tries, and whether larger values cost less.
struct Range {
  double least = 0;
  double most = 0;
  double start = 1;
  double unit = 0;    // whole multiples of this, if any
  bool root = false;  // epsilon may grow with no more than the root of it
  bool larger_costs_less = false;
  double precision = kPrecision;
};

// Narrows the gap between a parameter that keeps the target and one that does not, by regula falsi in logarithms (Illinois),
// and by halving where epsilon is 0 or infinite. Returns the one that keeps it. Parameters are multiples of `unit`, if any.
double narrow(Trial keeps, Trial breaks, const Range& range, const Excess& excess) {
  const double unit = range.unit;
  double keeps_weight = keeps.excess;
  double breaks_weight = breaks.excess;
  int stale = 0;  // how often the same side moved
  for (int i = 0; i < 200; ++i) {
    const double gap = std::log(breaks.at / keeps.at);
    const bool close = keeps.excess >= -kUnused || std::abs(gap) <= kFinestPrecision;
    if (unit > 0 ? std::abs(breaks.at - keeps.at) <= std::max(unit, kStepPrecision * keeps.at)
                 : std::abs(gap) <= range.precision && close)
      break;
    double share = 0.5;
    if (std::isfinite(keeps_weight) && std::isfinite(breaks_weight) && stale < 4) {
      share = keeps_weight / (keeps_weight - breaks_weight);
      const double margin =
          std::min(0.4 * range.precision / std::abs(gap), 0.25);  // step over the root, to close the other side
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

// The release's own place of a parameter.
class Place {
 public:
  // Refused: a release without one.
  static Result<Place> of(Release& release, Parameter parameter) {
    Sampling& sampling = release.sampling;
    switch (parameter) {
      case Parameter::kNoise: return noise_of(release);
      case Parameter::kSteps: return Place(&release.count, {1, 0x1p40, 1, 1, true, false});
      case Parameter::kRate: break;
    }
    if (!sampling.kind) return invalid("nothing is sampled here, so that there is no sampling rate to look for");
    switch (*sampling.kind) {
      case SamplingKind::kPoisson:
      case SamplingKind::kTruncatedPoisson: return Place(&sampling.rate, {1e-12, 1, 1, 0, false, false});
      case SamplingKind::kFixedSize:
        return Place(&sampling.batch_size, {1, static_cast<double>(sampling.population), 1, 1, false, false});
      case SamplingKind::kRandomAllocation:
        return Place(&sampling.epoch_selected, {1, static_cast<double>(sampling.epoch_steps), 1, 1, true, false});
      case SamplingKind::kMinSeparation:
        return invalid("units that take part at a distance are not sampled, so that there is no sampling rate to look for");
    }
    throw Failure("a sampling kind outside its enumeration");
  }
  const Range& range() const { return range_; }
  double get() const { return real_ != nullptr ? *real_ : static_cast<double>(*whole_); }
  void set(double value) const {
    if (real_ != nullptr) {
      *real_ = value;
    } else {
      *whole_ = static_cast<std::uint64_t>(value);
    }
  }

 private:
  Place(double* real, const Range& range) : real_(real), range_(range) {}
  Place(std::uint64_t* whole, const Range& range) : whole_(whole), range_(range) {}

  static Result<Place> noise_of(Release& release) {
    constexpr Range kMultiplier = {1e-3, 1e6, 1, 0, false, true};
    if (auto* m = std::get_if<GaussianNoise>(&release.mechanism)) return Place(&m->noise_multiplier, kMultiplier);
    if (auto* m = std::get_if<GaussianMixtureNoise>(&release.mechanism)) return Place(&m->noise_multiplier, kMultiplier);
    if (auto* m = std::get_if<TreeAggregation>(&release.mechanism)) return Place(&m->noise_multiplier, kMultiplier);
    if (auto* m = std::get_if<MatrixMechanism>(&release.mechanism)) return Place(&m->noise_multiplier, kMultiplier);
    if (auto* m = std::get_if<LaplaceNoise>(&release.mechanism)) return Place(&m->scale, kMultiplier);
    if (auto* m = std::get_if<DiscreteGaussianNoise>(&release.mechanism))
      return Place(&m->stddev, {0.05, 1e15, 8, 0, false, true});
    if (auto* m = std::get_if<SkellamNoise>(&release.mechanism)) return Place(&m->variance, {0.01, 1e30, 16, 0, true, true});
    return unsupported("mechanism '" + std::string(name_of(release.mechanism)) +
                       "' has no noise to look for in this version");
  }

  double* real_ = nullptr;
  std::uint64_t* whole_ = nullptr;
  Range range_;
};

// What is compared with the target: an upper bound, with the bracket's width on top of it where kBoth says so.
double charge(const Release& release, const PrivacyTarget& target) {
  const std::span<const Release> one(&release, 1);
  double out = kInfinity;
  if (target.accountant != Accountant::kRdp) {
    const auto pld = bracket_of_releases(one, target.neighbours, target.delta);
    if (pld.ok()) {
      const Bracket& e = pld->epsilon;
      out = target.accountant == Accountant::kBoth ? e.upper + (e.upper - e.lower) : e.upper;
    }
  }
  if (target.accountant == Accountant::kPld || out <= reachable(target.epsilon)) return out;
  return std::min(out, epsilon_upper(one, {target.epsilon, target.delta, Accountant::kRdp, target.neighbours}));
}

Error out_of_reach(const PrivacyTarget& target, Parameter parameter, const Range& range) {
  const std::string at = range.larger_costs_less ? Json(range.most).dump() : Json(range.least).dump();
  const char* what = parameter == Parameter::kNoise  ? "noise of up to "
                     : parameter == Parameter::kRate ? "sampling of no more than "
                                                     : "";
  const std::string why = parameter == Parameter::kSteps ? "one step already exceeds it; use more noise or a smaller rate"
                                                         : what + at + " exceeds it; take fewer steps";
  return refused("epsilon " + std::to_string(target.epsilon.value()) + " is out of reach: " + why);
}

// Brackets the root by growing steps from the start, then narrows it. Values that cost less lie towards `cheap`.
Result<double> search(const PrivacyTarget& target, Parameter parameter, const Range& range, double factor,
                      const Excess& excess) {
  const double cheap = range.larger_costs_less ? range.most : range.least;
  const double dear = range.larger_costs_less ? range.least : range.most;
  // As far as the miss asks for, and a little more: epsilon grows at least with the root of a parameter.
  const auto towards = [&](const Trial& from, double end) {
    const double miss = std::abs(from.excess);
    const double by =
        std::isfinite(miss) ? std::clamp(std::exp(range.root ? 2.2 * miss : 1.1 * miss), kLeastFactor, kMostFactor) : factor;
    const double next = end > from.at ? std::min(from.at * by, end) : std::max(from.at / by, end);
    if (range.unit == 0) return next;
    const double whole = end > from.at ? std::max(std::round(next), from.at + 1) : std::min(std::round(next), from.at - 1);
    return std::clamp(whole, range.least, range.most);
  };
  Trial keeps = trial(excess, range.start);
  Trial breaks = keeps;
  while (!(keeps.excess <= 0)) {
    breaks = keeps;
    if (keeps.at == cheap) return out_of_reach(target, parameter, range);
    keeps = trial(excess, towards(keeps, cheap));
  }
  while (!(breaks.excess > 0)) {
    keeps = breaks;
    if (keeps.at == dear) return keeps.at;
    breaks = trial(excess, towards(keeps, dear));
  }
  return narrow(keeps, breaks, range, excess);
}

Release gaussian_release(double sigma, double rate, double steps) {
  Release out;
  out.mechanism = GaussianNoise{sigma};
  out.sampling.kind = SamplingKind::kPoisson;
  out.sampling.rate = rate;
  out.count = steps;
  return out;
}

}  // namespace

std::string_view to_string(Accountant accountant) {
  switch (accountant) {
    case Accountant::kRdp: return "rdp";
    case Accountant::kPld: return "pld";
    case Accountant::kBoth: return "both";
  }
  throw Failure("an accountant outside its enumeration");
}

Result<Accountant> accountant_from_string(std::string_view name) {
  for (const Accountant known : {Accountant::kRdp, Accountant::kPld, Accountant::kBoth}) {
    if (name == to_string(known)) return known;
  }
  return invalid("accountant '" + std::string(name) + "' is not known; use pld, rdp or both");
}

double epsilon_upper(std::span<const Release> releases, const PrivacyTarget& target) {
  double out = kInfinity;
  if (target.accountant != Accountant::kPld) {
    const auto bound = epsilon_of_releases(releases, target.neighbours, target.delta);
    if (bound.ok()) out = bound->epsilon.value();
  }
  if (target.accountant != Accountant::kRdp) {
    const auto bound = bracket_of_releases(releases, target.neighbours, target.delta);
    if (bound.ok()) out = std::min(out, bound->epsilon.upper);
  }
  return out;
}

double epsilon_upper(const GaussianSteps& steps, Delta delta, Accountant accountant) {
  const Release run = gaussian_release(steps.sigma.value(), steps.rate.value(), static_cast<double>(steps.steps));
  return epsilon_upper({&run, 1}, {Epsilon(0), delta, accountant});
}

namespace {

Result<Release> calibrate(const PrivacyTarget& target, Release release, Parameter parameter, double precision) {
  if (!(release.count >= 1)) return invalid("steps is 0; give the number of steps that the run will take");
  SOTTO_TRY(const Place place, Place::of(release, parameter));
  Range range = place.range();
  place.set(range.start);
  const auto rdp = epsilon_of_releases({&release, 1}, target.neighbours, target.delta);
  if (!rdp.ok() && rdp.error().code != ErrorCode::kRefused) {  // nothing that another value would change
    const auto pld = bracket_of_releases({&release, 1}, target.neighbours, target.delta);
    if (target.accountant == Accountant::kRdp || !pld.ok()) return rdp.error();
  }
  range.precision = precision;
  if (release.sampling.kind == SamplingKind::kRandomAllocation) range.precision = std::max(precision, kAllocationPrecision);
  double factor = 2;
  if (target.accountant != Accountant::kRdp) {  // RDP's answer is not far from what is looked for, as a rule
    const auto near =
        calibrate({target.epsilon, target.delta, Accountant::kRdp, target.neighbours}, release, parameter, kStartPrecision);
    if (near.ok()) {
      Release copy = *near;
      range.start = Place::of(copy, parameter)->get();
      factor = 1.15;
    }
  }
  const double limit = reachable(target.epsilon);
  SOTTO_TRY(const double found, search(target, parameter, range, factor, [&](double at) {
              place.set(at);
              return std::log(charge(release, target) / limit);
            }));
  place.set(found);
  return release;
}

}  // namespace

Result<Release> calibrate(const PrivacyTarget& target, Release release, Parameter parameter) {
  return calibrate(target, std::move(release), parameter, kPrecision);
}

Result<NoiseMultiplier> calibrate_noise(Epsilon epsilon, Delta delta, SamplingRate rate, std::uint64_t steps,
                                        Accountant accountant) {
  const Release run = gaussian_release(1, rate.value(), static_cast<double>(steps));
  SOTTO_TRY(const Release found, calibrate({epsilon, delta, accountant}, run, Parameter::kNoise));
  return NoiseMultiplier(std::get<GaussianNoise>(found.mechanism).noise_multiplier);
}

Result<std::uint64_t> calibrate_steps(Epsilon epsilon, Delta delta, SamplingRate rate, NoiseMultiplier sigma,
                                      Accountant accountant) {
  SOTTO_TRY(const Release found,
            calibrate({epsilon, delta, accountant}, gaussian_release(sigma.value(), rate.value(), 1), Parameter::kSteps));
  return static_cast<std::uint64_t>(found.count);
}

Result<SamplingRate> calibrate_rate(Epsilon epsilon, Delta delta, NoiseMultiplier sigma, std::uint64_t steps,
                                    Accountant accountant) {
  const Release run = gaussian_release(sigma.value(), 1, static_cast<double>(steps));
  SOTTO_TRY(const Release found, calibrate({epsilon, delta, accountant}, run, Parameter::kRate));
  return SamplingRate(found.sampling.rate);
}

}  // namespace sotto::privacy
