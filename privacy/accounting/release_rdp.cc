#include "privacy/accounting/release_rdp.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "base/check.h"
#include "privacy/accounting/allocation.h"
#include "privacy/accounting/repeat_select.h"
#include "privacy/renyi/log_sum.h"
#include "privacy/renyi/noise_pairs.h"
#include "privacy/renyi/pair_rdp.h"

namespace sotto::privacy {
namespace {

using Curve = std::unique_ptr<RdpCurve>;

class LinearCurve final : public RdpCurve {  // xi + rho * order
 public:
  LinearCurve(double rho, double xi) : rho_(rho), xi_(xi) {}
  double at(double order, Direction) override { return xi_ + rho_ * order; }

 private:
  double rho_, xi_;
};

// A bound that is known at whole orders: (order - 1) times the divergence is convex in the order, and 0 at 1.
class WholeOrdersCurve final : public RdpCurve {
 public:
  explicit WholeOrdersCurve(std::function<double(double)> at_whole) : at_whole_(std::move(at_whole)) {}
  double at(double order, Direction) override {
    const double below = std::floor(order);
    const double share = order - below;
    const double lower = below == 1 ? 0 : (below - 1) * at_whole_(below);
    const double upper = share == 0 ? 0 : below * at_whole_(below + 1);
    return ((1 - share) * lower + share * upper) / (order - 1);
  }

 private:
  std::function<double(double)> at_whole_;
};

// Two curves of which a public coin chooses.
class CoinCurve final : public RdpCurve {
 public:
  CoinCurve(const Truncation& cut, Curve first, Curve second)
      : first_most_(cut.probability),
        second_most_(1 - cut.probability_low),
        first_(std::move(first)),
        second_(std::move(second)) {}
  double at(double order, Direction direction) override {
    // ln(1 + p (e^x - 1) + (1-p) (e^y - 1)): no digits are lost when the divergences are tiny.
    const double x = (order - 1) * first_->at(order, direction);
    const double y = (order - 1) * second_->at(order, direction);
    const double log_moment = std::max(x, y) > 1 ? log_add(std::log(first_most_) + x, std::log(second_most_) + y)
                                                 : std::log1p(first_most_ * std::expm1(x) + second_most_ * std::expm1(y));
    return log_moment / (order - 1) * (1 + kRoundoffCover);
  }

 private:
  double first_most_, second_most_;  // bounds on the coin's probabilities
  Curve first_, second_;
};

Error no_curve(const Release& release, Neighbours neighbours, const std::string& why) {
  const std::string sampling = release.sampling.kind ? std::string(to_string(*release.sampling.kind)) : "none";
  return unsupported("mechanism '" + std::string(name_of(release.mechanism)) + "' with sampling '" + sampling +
                     "' has no RDP for neighbours '" + std::string(to_string(neighbours)) + "' in this version: " + why);
}

Curve curve_of(std::unique_ptr<const OutputPair> pair) { return std::make_unique<PairCurve>(std::move(pair)); }

Curve gaussian(double sigma) {  // Mironov 2017, proposition 7
  return std::make_unique<LinearCurve>((1 + kRoundoffCover) / (2 * sigma * sigma), 0);
}

// A sampled Gaussian, which is never worse than without sampling (Renyi divergence is quasi-convex, and what was not drawn
// is alike on both sides). The pair's own table ends where noise is very small.
class SampledCurve final : public RdpCurve {
 public:
  SampledCurve(std::unique_ptr<const OutputPair> pair, double sigma) : sampled_(std::move(pair)), sigma_(sigma) {}
  double at(double order, Direction direction) override {
    return std::min(sampled_.at(order, direction), order / (2 * sigma_ * sigma_) * (1 + kRoundoffCover));
  }

 private:
  PairCurve sampled_;
  double sigma_;  // over the distance of the two sides
};

Curve poisson_gaussian(double sigma, double rate, bool replace) {
  if (rate == 1) return gaussian(replace ? sigma / 2 : sigma);
  if (!replace && sigma >= 1e-3 && sigma <= 1e6) return rdp_curve_of_step(NoiseMultiplier(sigma), SamplingRate(rate));
  const std::vector<GaussianComponent> with = {{1 - rate, 0}, {rate, 1}};
  const std::vector<GaussianComponent> without =
      replace ? std::vector<GaussianComponent>{{1 - rate, 0}, {rate, -1}} : std::vector<GaussianComponent>{{1, 0}};
  return std::make_unique<SampledCurve>(std::make_unique<GaussianPair>(sigma, with, without), replace ? sigma / 2 : sigma);
}

// Gaussian noise of `sigma` times the distance, under any sampling.
Result<Curve> sampled_gaussian(double sigma, const Release& release, Neighbours neighbours) {
  const Sampling& sampling = release.sampling;
  const bool replace = neighbours == Neighbours::kReplace;
  if (!sampling.kind) return gaussian(sigma);
  // From here on a replaced unit is two moves of half the distance.
  const double one_sided = replace ? 2 * sigma : sigma;
  switch (*sampling.kind) {
    case SamplingKind::kPoisson: return poisson_gaussian(one_sided, sampling.rate, replace);
    case SamplingKind::kTruncatedPoisson: {
      const Truncation cut = truncation_of(sampling);
      Curve whole = poisson_gaussian(one_sided, sampling.rate, replace);
      if (cut.probability == 0) return whole;
      return Curve(std::make_unique<CoinCurve>(cut, poisson_gaussian(one_sided / 2, cut.rate, replace), std::move(whole)));
    }
    case SamplingKind::kFixedSize: {
      if (!replace) return no_curve(release, neighbours, "a batch of fixed size is accounted for neighbours 'replace'");
      const double rate = static_cast<double>(sampling.batch_size) / static_cast<double>(sampling.population);
      if (rate == 1) return gaussian(sigma);
      return Curve(std::make_unique<SampledCurve>(std::make_unique<FixedSizePair>(1 / sigma, rate), sigma));
    }
    case SamplingKind::kRandomAllocation:
      if (replace) return no_curve(release, neighbours, "random allocation is accounted for neighbours 'add-remove'");
      if (!allocation_has_room(sigma, sampling.epoch_steps))
        return no_curve(release, neighbours, "its grids hold noise multipliers from 0.05 to 1000 and up to 10000000 steps");
      return allocation_rdp(sigma, sampling.epoch_steps, sampling.epoch_selected);
    case SamplingKind::kMinSeparation: break;  // a MatrixMechanism
  }
  throw Failure("a sampling kind outside its enumeration");
}

// One visitor a mechanism. Sampling other than Poisson is the Gaussian's alone.
struct CurveOf {
  const Release& release;
  Neighbours neighbours;
  double distance = distance_of(release, neighbours);

  Error refuse(const std::string& why) const { return no_curve(release, neighbours, why); }
  Result<void> unsampled() const {
    if (release.sampling.kind) return refuse("it is accounted without sampling");
    return {};
  }
  // The rate of Poisson sampling; 1 without.
  Result<double> poisson_rate() const {
    if (!release.sampling.kind) return 1.0;
    if (*release.sampling.kind != SamplingKind::kPoisson)
      return refuse("it is accounted with sampling 'poisson' or without");
    if (neighbours == Neighbours::kReplace) return refuse("sampled, it is accounted for neighbours 'add-remove'");
    return release.sampling.rate;
  }
  Result<std::uint64_t> whole_distance() const {
    if (distance != std::floor(distance)) return refuse("on one coordinate the sensitivity must be a whole number");
    return static_cast<std::uint64_t>(distance);
  }
  Result<Curve> integer(const IntegerNoise& noise) const {
    SOTTO_TRY(const double rate, poisson_rate());
    SOTTO_TRY(const std::uint64_t whole, whole_distance());
    return curve_of(std::make_unique<IntegerPair>(noise, whole, rate));
  }

  Result<Curve> operator()(const GaussianNoise& m) const {
    return sampled_gaussian(m.noise_multiplier / distance, release, neighbours);
  }
  Result<Curve> operator()(const GaussianMixtureNoise& m) const {
    SOTTO_TRY_VOID(unsampled());
    if (neighbours == Neighbours::kReplace) return refuse("it is accounted for neighbours 'add-remove'");
    std::vector<GaussianComponent> with;
    for (std::size_t i = 0; i < m.sensitivities.size(); ++i)
      with.push_back({m.probabilities[i], m.sensitivities[i] * distance});
    return curve_of(std::make_unique<GaussianPair>(m.noise_multiplier, with, std::vector<GaussianComponent>{{1, 0}}));
  }
  Result<Curve> operator()(const LaplaceNoise& m) const {
    SOTTO_TRY(const double rate, poisson_rate());
    return curve_of(std::make_unique<LaplacePair>(m.scale / distance, rate));
  }
  Result<Curve> operator()(const DiscreteGaussianNoise& m) const {
    if (m.dimension == 1 && m.shares == 1) {
      SOTTO_TRY(const auto noise, IntegerNoise::discrete_gaussian(m.stddev));
      return integer(noise);
    }
    SOTTO_TRY(const double sigma, certified_multiplier(m, distance));
    return sampled_gaussian(sigma, release, neighbours);
  }
  Result<Curve> operator()(const DiscreteLaplaceNoise& m) const {
    SOTTO_TRY(const auto noise, IntegerNoise::discrete_laplace(m.parameter));
    return integer(noise);
  }
  Result<Curve> operator()(const SkellamNoise& m) const {
    if (m.dimension == 1) {
      SOTTO_TRY(const auto noise, IntegerNoise::skellam(m.variance));
      return integer(noise);
    }
    SOTTO_TRY_VOID(unsampled());
    // Agarwal, Kairouz, Liu 2021 (arXiv 2110.04995), theorem 3.5.
    const double l2 = distance;
    const double l1 =
        m.l1_distance > 0 ? m.l1_distance : std::min(l2 * l2, std::sqrt(static_cast<double>(m.dimension)) * l2);
    return Curve(std::make_unique<WholeOrdersCurve>([l1, l2, v = m.variance](double order) {
      return order * l2 * l2 / (2 * v) + std::min(((2 * order - 1) * l2 * l2 + 6 * l1) / (4 * v * v), 3 * l1 / (2 * v));
    }));
  }
  Result<Curve> operator()(const RandomizedResponse& m) const {
    SOTTO_TRY_VOID(unsampled());
    return curve_of(std::make_unique<FinitePair>(outcomes_of(m, neighbours)));
  }
  Result<Curve> operator()(const ZeroConcentrated& m) const {
    SOTTO_TRY_VOID(unsampled());
    return Curve(std::make_unique<LinearCurve>(m.rho, m.xi));  // Bun, Steinke 2016, definition 8.1
  }
  Result<Curve> operator()(const ApproximateDp& m) const {
    SOTTO_TRY_VOID(unsampled());
    if (m.delta > 0) return refuse("with delta > 0 nothing bounds it; PLD accounts it");
    const double more = 1 / (1 + std::exp(-m.epsilon));
    return curve_of(std::make_unique<FinitePair>(std::vector<Outcome>{{more, 1 - more}, {1 - more, more}}));
  }
  Result<Curve> operator()(const TreeAggregation& m) const {
    SOTTO_TRY_VOID(unsampled());
    return gaussian(m.noise_multiplier / (distance * correlated_sensitivity(m)));
  }
  Result<Curve> operator()(const MatrixMechanism& m) const {
    SOTTO_TRY_VOID(unsampled());
    return gaussian(m.noise_multiplier / (distance * correlated_sensitivity(m)));
  }
  Result<Curve> operator()(const RepeatAndSelect& m) const {
    SOTTO_TRY_VOID(unsampled());
    std::vector<std::vector<RepeatedPart>> runs;
    auto all = m.or_runs;
    all.push_back(m.run);
    for (const auto& run : all) {
      auto& parts = runs.emplace_back();
      for (const Release& part : run) {
        SOTTO_TRY(Curve curve, rdp_curve(part, neighbours));
        parts.push_back({std::move(curve), part.count, part.count * (part.max_divergence + certificate_of(part))});
      }
    }
    return repeated(std::move(runs), m.mean, m.shape);
  }
};

}  // namespace

Result<double> certified_multiplier(const DiscreteGaussianNoise& noise, double distance) {
  if (!(noise.stddev >= static_cast<double>(kSmallestNoiseStddev)))
    return refused("noise of stddev " + Json(noise.stddev).dump() + " is below the 8 that its certificate needs");
  const double n = static_cast<double>(noise.shares);
  const double r = kRoundingWidth / std::sqrt(n);
  return std::sqrt(n) * std::sqrt(noise.stddev - r) * std::sqrt(noise.stddev + r) / distance * (1 - 2e-15);
}

std::vector<Outcome> outcomes_of(const RandomizedResponse& m, Neighbours neighbours) {
  const double k = static_cast<double>(m.buckets);
  const double other = m.noise_parameter / k;
  const double own = 1 - m.noise_parameter + other;
  if (neighbours != Neighbours::kReplace) return {{own, 1 / k}, {(k - 1) * other, (k - 1) / k}};  // against a uniform answer
  std::vector<Outcome> out = {{own, other}, {other, own}};
  if (m.buckets > 2) out.push_back({(k - 2) * other, (k - 2) * other});
  return out;
}

double distance_of(const Release& release, Neighbours neighbours) {
  return release.sensitivity.value_or(neighbours == Neighbours::kReplace ? 2 : 1);
}

double certificate_of(const Release& release) {
  const auto* noise = std::get_if<DiscreteGaussianNoise>(&release.mechanism);
  if (noise == nullptr || (noise->dimension == 1 && noise->shares == 1)) return 0;
  const bool epochs = release.sampling.kind == SamplingKind::kRandomAllocation;
  return static_cast<double>(noise->dimension) * kLogRatioPerCoordinate *
         (epochs ? static_cast<double>(release.sampling.epoch_steps) : 1);
}

Result<std::unique_ptr<RdpCurve>> rdp_curve(const Release& release, Neighbours neighbours) {
  return std::visit(CurveOf{release, neighbours}, release.mechanism);
}

Result<EpsilonBound> epsilon_of_releases(std::span<const Release> releases, Neighbours neighbours, Delta delta) {
  std::vector<Curve> curves;
  std::vector<RdpSteps> steps;
  double max_divergence = 0;
  for (const Release& release : releases) {
    SOTTO_TRY(Curve curve, rdp_curve(release, neighbours));
    curves.push_back(std::move(curve));
    steps.push_back({curves.back().get(), release.count});
    max_divergence += release.count * (release.max_divergence + certificate_of(release));
  }
  return epsilon_of_curves(steps, delta, max_divergence);
}

}  // namespace sotto::privacy
