#include "privacy/accounting/release_losses.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "privacy/accounting/profile.h"
#include "privacy/accounting/release_rdp.h"
#include "privacy/losses/gaussian_loss.h"
#include "privacy/losses/noise_losses.h"
#include "privacy/renyi/integer_noise.h"

namespace sotto::privacy {
namespace {

using Loss = std::unique_ptr<PrivacyLoss>;
using Components = std::vector<GaussianLoss::Component>;

Components one_unit(double rate, double centre) {
  return rate == 1 ? Components{{1, centre}} : Components{{1 - rate, 0}, {rate, centre}};
}

Loss gaussian(double sigma, double rate, Direction direction, bool replace = false) {
  return std::make_unique<GaussianLoss>(sigma, one_unit(rate, 1), replace ? one_unit(rate, -1) : Components{{1, 0}},
                                        direction);
}

Result<Loss> atoms(std::vector<LossAtom> all, Direction direction, double relative_error, double spacing = 0) {
  if (direction == Direction::kAdd) {
    for (LossAtom& atom : all) std::swap(atom.p, atom.q);
  }
  SOTTO_TRY(AtomicLoss loss, AtomicLoss::make(all, relative_error, spacing));
  return Loss(std::make_unique<AtomicLoss>(std::move(loss)));
}

// One visitor a mechanism; what has an RDP curve is refused there first, so that only mechanisms without a pair are refused
// here.
struct LossOf {
  const Release& release;
  Neighbours neighbours;
  Direction direction;
  double delta;
  KnownAllocations& known;
  double distance = distance_of(release, neighbours);

  bool replace() const { return neighbours == Neighbours::kReplace; }
  double poisson_rate() const { return release.sampling.kind ? release.sampling.rate : 1; }
  Error no_pair(const std::string& why) const {
    return unsupported("mechanism '" + std::string(name_of(release.mechanism)) +
                       "' has no privacy loss distribution: " + why);
  }

  Result<ReleaseLoss> allocation(double sigma) const {
    const Sampling& sampling = release.sampling;
    ReleaseLoss out;
    out.times = sampling.epoch_selected;
    const double tail = delta * 5e-10 / (release.count * static_cast<double>(out.times));
    const AllocationAtoms& epoch = known.of(sigma, sampling.epoch_steps / sampling.epoch_selected, tail);
    const auto listed = [](const std::vector<AllocationAtom>& all) {
      std::vector<LossAtom> list;
      for (const AllocationAtom& atom : all) list.push_back({atom.with, atom.without});
      return list;
    };
    SOTTO_TRY(out.upper, atoms(listed(epoch.upper), direction, 0x1p-50));
    SOTTO_TRY(out.lower, atoms(listed(epoch.lower), direction, 0x1p-50));
    return out;
  }

  Result<ReleaseLoss> sampled_gaussian(double sigma) const {
    const Sampling& sampling = release.sampling;
    if (!sampling.kind) return ReleaseLoss{gaussian(sigma, 1, direction), nullptr, 1};
    const double one_sided = replace() ? 2 * sigma : sigma;  // a replaced unit is two moves of half the distance
    switch (*sampling.kind) {
      case SamplingKind::kPoisson: return ReleaseLoss{gaussian(one_sided, sampling.rate, direction, replace()), nullptr, 1};
      case SamplingKind::kTruncatedPoisson: {
        const Truncation cut = truncation_of(sampling);
        Loss whole = gaussian(one_sided, sampling.rate, direction, replace());
        if (cut.probability == 0) return ReleaseLoss{std::move(whole), nullptr, 1};
        Loss crowded = gaussian(one_sided / 2, cut.rate, direction, replace());
        return ReleaseLoss{
            std::make_unique<CoinLoss>(cut.probability_low, cut.probability, std::move(crowded), std::move(whole)), nullptr,
            1};
      }
      case SamplingKind::kFixedSize: {
        const double rate = static_cast<double>(sampling.batch_size) / static_cast<double>(sampling.population);
        if (rate == 1) return ReleaseLoss{gaussian(sigma, 1, direction), nullptr, 1};
        return ReleaseLoss{
            std::make_unique<SplicedLoss>(gaussian(sigma, rate, Direction::kRemove), gaussian(sigma, rate, Direction::kAdd)),
            nullptr, 1};
      }
      case SamplingKind::kRandomAllocation: return allocation(sigma);
      case SamplingKind::kMinSeparation: break;  // a MatrixMechanism
    }
    throw Failure("a sampling kind outside its enumeration");
  }

  Result<ReleaseLoss> integer(const IntegerNoise& noise, double spacing) const {
    const double rate = poisson_rate();
    const auto whole = static_cast<std::int64_t>(distance);
    if (noise.range() > 1'000'000) return no_pair("its noise is too wide to list; use RDP");
    std::vector<LossAtom> list;
    for (std::int64_t x = -noise.range(); x <= noise.range() + whole; ++x) {
      const double without = std::exp(noise.log_probability(x));
      list.push_back({(1 - rate) * without + rate * std::exp(noise.log_probability(x - whole)), without});
    }
    SOTTO_TRY(Loss loss, atoms(std::move(list), direction, 1e-12, rate == 1 ? spacing : 0));
    return ReleaseLoss{std::move(loss), nullptr, 1};
  }

  Result<ReleaseLoss> operator()(const GaussianNoise& m) const { return sampled_gaussian(m.noise_multiplier / distance); }
  Result<ReleaseLoss> operator()(const GaussianMixtureNoise& m) const {
    Components with;
    for (std::size_t i = 0; i < m.sensitivities.size(); ++i) {
      if (m.probabilities[i] > 0) with.push_back({m.probabilities[i], m.sensitivities[i] * distance});
    }
    return ReleaseLoss{std::make_unique<GaussianLoss>(m.noise_multiplier, with, Components{{1, 0}}, direction), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const LaplaceNoise& m) const {
    return ReleaseLoss{std::make_unique<LaplaceLoss>(m.scale / distance, poisson_rate(), direction), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const DiscreteGaussianNoise& m) const {
    if (m.dimension == 1 && m.shares == 1) {
      SOTTO_TRY(const auto noise, IntegerNoise::discrete_gaussian(m.stddev));
      // Losses are multiples of this; where it is small beside them the grid need not meet them.
      return integer(noise, m.stddev <= 50 ? distance / (2 * m.stddev * m.stddev) : 0);
    }
    SOTTO_TRY(const double sigma, certified_multiplier(m, distance));
    return sampled_gaussian(sigma);
  }
  Result<ReleaseLoss> operator()(const DiscreteLaplaceNoise& m) const {
    SOTTO_TRY(const auto noise, IntegerNoise::discrete_laplace(m.parameter));
    return integer(noise, m.parameter);
  }
  Result<ReleaseLoss> operator()(const SkellamNoise& m) const {
    if (m.dimension != 1) return no_pair("in more than one coordinate only its RDP is bounded");
    SOTTO_TRY(const auto noise, IntegerNoise::skellam(m.variance));
    return integer(noise, 0);
  }
  Result<ReleaseLoss> operator()(const RandomizedResponse& m) const {
    std::vector<LossAtom> list;
    for (const Outcome& outcome : outcomes_of(m, neighbours)) list.push_back({outcome.p, outcome.q});
    const double spacing = replace() ? std::log(list.front().p / list.front().q) : 0;
    SOTTO_TRY(Loss loss, atoms(std::move(list), direction, 1e-14, spacing));
    return ReleaseLoss{std::move(loss), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const ZeroConcentrated&) const { return no_pair("zCDP bounds its RDP alone"); }
  Result<ReleaseLoss> operator()(const ApproximateDp& m) const {
    const double more = (1 - m.delta) / (1 + std::exp(-m.epsilon));
    const double less = (1 - m.delta) / (1 + std::exp(m.epsilon));
    SOTTO_TRY(Loss loss, atoms({{m.delta, 0}, {more, less}, {less, more}, {0, m.delta}}, direction, 1e-14, m.epsilon));
    return ReleaseLoss{std::move(loss), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const TreeAggregation& m) const {
    return ReleaseLoss{gaussian(m.noise_multiplier / (distance * correlated_sensitivity(m)), 1, direction), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const MatrixMechanism& m) const {
    return ReleaseLoss{gaussian(m.noise_multiplier / (distance * correlated_sensitivity(m)), 1, direction), nullptr, 1};
  }
  Result<ReleaseLoss> operator()(const RepeatAndSelect&) const { return no_pair("selection is bounded by RDP alone"); }
};

// A bracket holds wherever its grid was made for, but is narrow there alone. Where losses are bounded and delta is below the
// mass of the largest, a grid made for that delta sees nothing else: then one for a larger delta answers. The upper end is
// that of a delta smaller by `relative`, the lower end of one as much larger.
Bracket bracket_near(std::span<const LossSteps> steps, PldTarget target, double relative) {
  const Delta delta = target.delta;
  const Delta smaller(delta.value() * (1 - relative));
  const Delta larger(std::min(delta.value() * (1 + relative), 1 - 0x1p-53));
  Bracket out{0, std::numeric_limits<double>::infinity()};
  for (double aim = delta.value(); aim < 0.9; aim *= 10) {
    target.delta = Delta(aim);
    const ComposedLoss composed = ComposedLoss::compose(steps, target);
    out.lower = std::max(out.lower, composed.epsilon(larger).lower);
    out.upper = std::min(out.upper, composed.epsilon(smaller).upper);
    if (std::isfinite(out.upper) && out.upper - out.lower <= 0.02 * std::max(1.0, out.upper)) break;
  }
  return out;
}

Result<Bracket> compose_direction(std::span<const Release> releases, Neighbours neighbours, Direction direction, Delta delta,
                                  KnownAllocations& known) {
  SOTTO_TRY(const DirectedLosses losses, losses_of(releases, neighbours, direction, delta, known));
  const double log_ratio = losses.log_ratio;
  // P and Q are within the log-ratio b of the pair's, all steps together: delta(epsilon) <= e^b delta'(epsilon - 2 b).
  const double relative = log_ratio > 0 ? 2 * log_ratio + 0x1p-51 : 0;
  if (relative > 0.5) return refused("the certificate's log-ratio over all steps is too large for a bracket");
  const PldTarget target{delta, losses.width, 1, losses.refine};
  Bracket out = bracket_near(losses.upper, target, relative);
  if (!losses.lower.empty()) out.lower = bracket_near(losses.lower, target, relative).lower;
  if (log_ratio > 0) {
    out.upper += 2 * log_ratio + 0x1p-51 * std::max(1.0, out.upper);
    out.lower = std::max(0.0, out.lower - 2 * log_ratio - 0x1p-51 * std::max(1.0, out.lower));
  }
  return out;
}

}  // namespace

const AllocationAtoms& KnownAllocations::of(double sigma, std::uint64_t steps, double tail) {
  const auto [place, is_new] = known_.try_emplace({sigma, steps, tail});
  if (is_new) place->second = allocation_atoms(sigma, steps, tail);
  return place->second;
}

Result<ReleaseLoss> loss_of(const Release& release, Neighbours neighbours, Direction direction, double delta,
                            KnownAllocations& known) {
  const auto* statement = std::get_if<ApproximateDp>(&release.mechanism);
  if (statement == nullptr || statement->delta == 0 || release.sampling.kind) {
    const auto curve = rdp_curve(release, neighbours);  // what is refused there is refused here, in the same words
    if (!curve.ok()) return curve.error();
  }
  return std::visit(LossOf{release, neighbours, direction, delta, known}, release.mechanism);
}

Result<DirectedLosses> losses_of(std::span<const Release> releases, Neighbours neighbours, Direction direction, Delta delta,
                                 KnownAllocations& known) {
  DirectedLosses out;
  bool two_sided = false;
  bool fine = releases.size() <= 16;  // a few can afford it
  for (const Release& release : releases) {
    SOTTO_TRY(ReleaseLoss loss, loss_of(release, neighbours, direction, delta.value(), known));
    out.owned.push_back(std::move(loss));
    const ReleaseLoss& kept = out.owned.back();
    const auto count = static_cast<std::uint64_t>(std::min(release.count, 0x1p62)) * kept.times;
    out.upper.push_back({kept.upper.get(), count});
    out.lower.push_back({kept.lower ? kept.lower.get() : kept.upper.get(), count});
    two_sided = two_sided || kept.lower != nullptr;
    const bool smooth = dynamic_cast<const AtomicLoss*>(kept.upper.get()) == nullptr;
    out.refine = out.refine && smooth;
    fine = fine || dynamic_cast<const GaussianLoss*>(kept.upper.get()) == nullptr;
    out.log_ratio += release.count * (release.max_divergence + certificate_of(release));
  }
  if (!two_sided) out.lower.clear();
  out.width = fine ? 1e-5 : PldTarget{}.width;  // atoms, and masses given infinite losses, cost a bracket its width
  return out;
}

std::optional<GaussianReleases> gaussian_releases(std::span<const Release> releases) {
  GaussianReleases out;
  for (const Release& release : releases) {
    const auto* noise = std::get_if<GaussianNoise>(&release.mechanism);
    const bool poisson = release.sampling.kind.value_or(SamplingKind::kPoisson) == SamplingKind::kPoisson;
    if (noise == nullptr || !poisson || release.sensitivity || !(release.count < 0x1p62)) return std::nullopt;
    out.steps.push_back({NoiseMultiplier(noise->noise_multiplier), SamplingRate(release.sampling.rate),
                         static_cast<std::uint64_t>(release.count)});
    out.max_divergence += release.count * release.max_divergence;
  }
  return out;
}

Result<ReleasesBracket> bracket_of_releases(std::span<const Release> releases, Neighbours neighbours, Delta delta) {
  if (releases.empty()) return ReleasesBracket{};
  if (const auto gaussian = gaussian_releases(releases)) {
    SOTTO_TRY(const DirectedBracket found, pld_epsilon(gaussian->steps, delta, {neighbours, 1}, gaussian->max_divergence));
    return ReleasesBracket{found.bracket, found.direction};
  }
  KnownAllocations known;
  SOTTO_TRY(const Bracket remove, compose_direction(releases, neighbours, Direction::kRemove, delta, known));
  SOTTO_TRY(const Bracket add, compose_direction(releases, neighbours, Direction::kAdd, delta, known));
  ReleasesBracket out;
  out.epsilon = {std::max(remove.lower, add.lower), std::max(remove.upper, add.upper)};
  out.direction = remove.upper >= add.upper ? Direction::kRemove : Direction::kAdd;
  if (!std::isfinite(out.epsilon.upper)) {
    // Bounded losses at a delta below every grid's resolution: RDP's bound is one, too.
    SOTTO_TRY(const EpsilonBound rdp, epsilon_of_releases(releases, neighbours, delta));
    out.epsilon.upper = std::max(rdp.epsilon.value(), out.epsilon.lower);
  }
  return out;
}

}  // namespace sotto::privacy
