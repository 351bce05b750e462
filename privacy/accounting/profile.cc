#include "privacy/accounting/profile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/check.h"
#include "privacy/accounting/release_losses.h"
#include "privacy/losses/gaussian_loss.h"

namespace sotto::privacy {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMuError = 64 * kUnit;  // of merge()'s sum of squares, with thousands of phases of rounding to spare
constexpr double kMiddle = 0.2;          // a delta in the middle of a curve

// A profile is asked at smaller deltas, too.
double reach(Delta delta) { return std::min(1.0, 1e-12 / delta.value()); }

// Steps as losses of one direction: equal steps together, all steps without sampling as one Gaussian.
struct Losses {
  std::vector<GaussianLoss> losses;
  std::vector<std::uint64_t> counts;

  ComposedLoss compose(const PldTarget& target) const {
    std::vector<LossSteps> steps;
    for (std::size_t i = 0; i < losses.size(); ++i) steps.push_back({&losses[i], counts[i]});
    return ComposedLoss::compose(steps, target);
  }
};

struct Merged {
  std::vector<GaussianSteps> sampled;
  double mu = 0;  // of the steps without sampling, for distance 1; from above
};

Merged merge(std::span<const GaussianSteps> steps) {
  Merged out;
  std::map<std::pair<double, double>, std::size_t> places;  // in `sampled`, by noise and rate
  double squares = 0;
  for (const GaussianSteps& step : steps) {
    if (step.rate.always()) {
      squares += static_cast<double>(step.steps) / (step.sigma.value() * step.sigma.value());
      continue;
    }
    const auto [same, is_new] = places.try_emplace({step.sigma.value(), step.rate.value()}, out.sampled.size());
    if (is_new) {
      out.sampled.push_back(step);
    } else {
      out.sampled[same->second].steps += step.steps;
    }
  }
  out.mu = std::sqrt(squares);
  return out;
}

// Units of the sensitivity by which a Gaussian without sampling moves.
double distance(const Relation& relation) {
  return static_cast<double>(relation.group) * (relation.neighbours == Neighbours::kReplace ? 2 : 1);
}

Losses losses_of(const Merged& merged, const Relation& relation, Direction direction) {
  Losses out;
  for (const GaussianSteps& step : merged.sampled) {
    out.losses.push_back(GaussianLoss::sampled(step.sigma, step.rate, direction, relation.neighbours, relation.group));
    out.counts.push_back(step.steps);
  }
  if (merged.mu > 0) {
    const double sigma = 1 / merged.mu / (1 + 4 * kUnit * 64);
    out.losses.emplace_back(sigma, std::vector<GaussianLoss::Component>{{1, distance(relation)}},
                            std::vector<GaussianLoss::Component>{{1, 0}}, direction);
    out.counts.push_back(1);
  }
  return out;
}

Result<void> check(const Relation& relation) {
  if (relation.group >= 1 && relation.group <= kLargestGroup) return {};
  return invalid("group = " + std::to_string(relation.group) + ", but it must be from 1 to " +
                 std::to_string(kLargestGroup));
}

// Within a log-ratio of eta on both distributions: delta'(epsilon) <= e^eta delta(epsilon - 2 eta), and back.
struct Deltas {
  Delta for_upper, for_lower;
  Deltas(Delta delta, double eta)
      : for_upper(delta.value() * std::exp(-eta) * (1 - 4 * kUnit)),
        for_lower(std::min(delta.value() * std::exp(eta) * (1 + 4 * kUnit), 1 - kUnit)) {}
};
Bracket with_divergence(Bracket epsilon, double eta) {
  return {std::max(0.0, epsilon.lower - 2 * eta), epsilon.upper + 2 * eta};
}

Bracket epsilon_of(const ComposedLoss& composed, Delta delta, double eta) {
  const Deltas at(delta, eta);
  return with_divergence({composed.epsilon(at.for_lower).lower, composed.epsilon(at.for_upper).upper}, eta);
}

DirectedBracket worse_of(const Bracket& remove, const Bracket& add) {
  return {{std::max(remove.lower, add.lower), std::max(remove.upper, add.upper)},
          remove.upper >= add.upper ? Direction::kRemove : Direction::kAdd};
}

// Least argument at which a decreasing function is at most `limit`, between low (above it) and high (not), up to
// `precision`.
template <class F>
std::pair<double, double> crossing(const F& f, double limit, double low, double high, double precision) {
  while (high - low > precision * std::max(high, 1e-6)) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (f(middle) <= limit ? high : low) = middle;
  }
  return {low, high};
}

// Near the order at which the other direction is tight, RDP bounds this one from above.
bool rdp_of_adding_is_below(const Merged& merged, Delta delta, double tilt, double max_divergence, double epsilon) {
  for (const double share : {1.0, 0.7, 1.4}) {
    const double order = std::clamp(1 + tilt * share, kSmallestOrder, kLargestOrder);
    double rdp = merged.mu * merged.mu / 2 * order * (1 + 1e-9) + max_divergence * (2 * order - 1) / (order - 1);
    for (const GaussianSteps& step : merged.sampled) {
      rdp += static_cast<double>(step.steps) * rdp_of_step(order, step.sigma, step.rate, Direction::kAdd);
    }
    if (epsilon_of_rdp(order, rdp, delta) * (1 + 1e-9) < epsilon) return true;
  }
  return false;
}

// What pld_epsilon answers, and the compositions that it follows from.
struct Here {
  std::optional<ComposedLoss> remove, add;  // add: none where its RDP shows that it is smaller, or where both are equal
  DirectedBracket epsilon;
};
Here compose_here(const Merged& merged, const Relation& relation, Delta delta, double max_divergence) {
  Here out;
  out.remove = losses_of(merged, relation, Direction::kRemove).compose({delta});
  const Bracket remove = epsilon_of(*out.remove, delta, max_divergence);
  out.epsilon = {remove, Direction::kRemove};
  if (relation.neighbours == Neighbours::kReplace) return out;
  if (relation.group == 1 && rdp_of_adding_is_below(merged, delta, out.remove->tilt(), max_divergence, remove.lower))
    return out;
  out.add = losses_of(merged, relation, Direction::kAdd).compose({delta});
  out.epsilon = worse_of(remove, epsilon_of(*out.add, delta, max_divergence));
  return out;
}

Bracket gaussian_epsilon(double mu, double delta) {
  const auto upper = [mu](double e) { return gaussian_delta(mu, e).upper; };
  const auto lower = [mu](double e) { return gaussian_delta(mu, e).lower; };
  Bracket out;
  const double most = mu * (mu / 2 + 40) + 1e-300;  // there delta is below 1e-300
  if (upper(0) > delta) out.upper = crossing(upper, delta, 0, most, 1e-13).second;
  if (lower(0) > delta) out.lower = crossing(lower, delta, 0, most, 1e-13).first;
  return out;
}

}  // namespace

Bracket gaussian_delta(double mu, double epsilon) {
  if (mu == 0) return {0, 0};
  // Phi(-a) - e^epsilon Phi(-b), a = epsilon/mu - mu/2, b = epsilon/mu + mu/2.
  const double a = epsilon / mu - mu / 2;
  const double b = epsilon / mu + mu / 2;
  const double rounding = 4 * kUnit * (std::abs(epsilon / mu) + mu);  // of a and b
  const double first = 0.5 * std::erfc(a * M_SQRT1_2);
  // d/da of Phi(-a) is at most (|a| + 2) Phi(-a).
  const double first_error = first * ((std::abs(a) + 2) * rounding + kUnit * (16 + 4 * a * a));
  double low = 0;
  double high = 0;
  if (b < 36) {
    const double second = std::exp(epsilon) * 0.5 * std::erfc(b * M_SQRT1_2);
    const double error = second * ((b + 2) * rounding + kUnit * (24 + 4 * b * b + 2 * epsilon));
    low = second - error;
    high = second + error;
  } else {  // e^epsilon Phi(-b) = phi(a) R(b), Mills' ratio R(b): the partial sums of 1/b - 1/b^3 + 3/b^5 - 15/b^7 enclose it
    const double density = std::exp(-a * a / 2) / std::sqrt(2 * M_PI);
    const double error = std::abs(a) * rounding + kUnit * (32 + 2 * a * a);
    const double three_terms = 1 / b - 1 / std::pow(b, 3) + 3 / std::pow(b, 5);
    low = density * (1 - error) * (three_terms - 15 / std::pow(b, 7));
    high = density * (1 + error) * three_terms;
  }
  return {std::max(0.0, first - first_error - high), std::min(1.0, first + first_error - low)};
}

Result<PrivacyProfile> PrivacyProfile::of(std::span<const GaussianSteps> steps, const Relation& relation, Delta delta,
                                          double max_divergence) {
  SOTTO_TRY_VOID(check(relation));
  const Merged merged = merge(steps);
  PrivacyProfile out;
  out.max_divergence_ = max_divergence;
  if (merged.sampled.empty()) {
    out.mu_ = merged.mu * distance(relation);
    return out;
  }
  Here here = compose_here(merged, relation, delta, max_divergence);
  out.made_for_ = delta;
  out.epsilon_there_ = here.epsilon;
  for (const Direction direction : {Direction::kRemove, Direction::kAdd}) {
    if (direction == Direction::kAdd && relation.neighbours == Neighbours::kReplace) continue;
    const Losses losses = losses_of(merged, relation, direction);
    out.directions_.emplace_back();
    auto& composed = out.directions_.back().upper;
    auto& there = direction == Direction::kRemove ? here.remove : here.add;
    if (there) composed.push_back(*std::move(there));
    // Of very many different steps a grid takes seconds: one for smaller deltas is left out.
    if (reach(delta) < 1 && losses.losses.size() <= kManySteps)
      composed.push_back(losses.compose({delta, PldTarget{}.width, reach(delta)}));
    if (delta.value() < kMiddle) composed.push_back(losses.compose({Delta(kMiddle)}));
  }
  return out;
}

Result<PrivacyProfile> PrivacyProfile::of(std::span<const Release> releases, Neighbours neighbours, Delta delta) {
  if (const auto gaussian = gaussian_releases(releases)) {
    return of(gaussian->steps, {neighbours, 1}, delta, gaussian->max_divergence);
  }
  PrivacyProfile out;
  KnownAllocations known;
  for (const Direction direction : {Direction::kRemove, Direction::kAdd}) {
    SOTTO_TRY(const DirectedLosses losses, losses_of(releases, neighbours, direction, delta, known));
    out.max_divergence_ = losses.log_ratio;
    Composed composed;
    for (const double aim : {delta.value(), std::sqrt(delta.value() * kMiddle), kMiddle}) {
      const PldTarget at{Delta(aim), losses.width, reach(Delta(aim)), losses.refine};
      composed.upper.push_back(ComposedLoss::compose(losses.upper, at));
      if (!losses.lower.empty()) composed.lower.push_back(ComposedLoss::compose(losses.lower, at));
    }
    out.directions_.push_back(std::move(composed));
  }
  SOTTO_TRY(const ReleasesBracket there, bracket_of_releases(releases, neighbours, delta));
  out.made_for_ = delta;
  out.epsilon_there_ = {there.epsilon, there.direction};
  return out;
}

Bracket PrivacyProfile::epsilon(Delta delta, Direction direction) const {
  if (mu_) {
    const Deltas at(delta, max_divergence_);
    return with_divergence({gaussian_epsilon(*mu_ * (1 - kMuError), at.for_lower.value()).lower,
                            gaussian_epsilon(*mu_ * (1 + kMuError), at.for_upper.value()).upper},
                           max_divergence_);
  }
  const std::size_t i = directions_.size() > 1 && direction == Direction::kAdd ? 1 : 0;
  Bracket out{0, kInfinity};
  const auto at = [&](const ComposedLoss& composed) { return epsilon_of(composed, delta, max_divergence_); };
  for (const ComposedLoss& composed : directions_[i].upper) out.upper = std::min(out.upper, at(composed).upper);
  for (const ComposedLoss& composed : directions_[i].from_below()) out.lower = std::max(out.lower, at(composed).lower);
  return out;
}

DirectedBracket PrivacyProfile::epsilon(Delta delta) const {
  if (made_for_ && delta == *made_for_) return epsilon_there_;
  DirectedBracket out = worse_of(epsilon(delta, Direction::kRemove), epsilon(delta, Direction::kAdd));
  // A larger delta has no larger epsilon.
  if (made_for_ && delta > *made_for_) out.bracket.upper = std::min(out.bracket.upper, epsilon_there_.bracket.upper);
  if (made_for_ && delta < *made_for_) out.bracket.lower = std::max(out.bracket.lower, epsilon_there_.bracket.lower);
  return out;
}

Bracket PrivacyProfile::delta(double epsilon) const {
  const double eta = max_divergence_;
  const double up = std::exp(eta) * (1 + 4 * kUnit);
  const double above = std::max(0.0, epsilon - 2 * eta);
  const double below = epsilon + 2 * eta;
  if (mu_) {
    return {gaussian_delta(*mu_ * (1 - kMuError), below).lower / up,
            std::min(1.0, gaussian_delta(*mu_ * (1 + kMuError), above).upper * up)};
  }
  Bracket out;
  for (const auto& direction : directions_) {
    double upper = 1;
    for (const ComposedLoss& composed : direction.from_below())
      out.lower = std::max(out.lower, composed.delta(below).lower / up);
    for (const ComposedLoss& composed : direction.upper) upper = std::min(upper, composed.delta(above).upper * up);
    out.upper = std::max(out.upper, upper);
  }
  if (made_for_ && epsilon >= epsilon_there_.bracket.upper) out.upper = std::min(out.upper, made_for_->value());
  return out;
}

double PrivacyProfile::trade_off(double false_positive_rate) const {
  // Dong, Roth, Su 2022, proposition 6: the supremum over (epsilon, delta); any set of them gives a curve that holds.
  const double alpha = false_positive_rate;
  double best = 0;
  for (double e = 0; e < 60; e = e < 0.01 ? e + 0.001 : e * 1.05) {
    const double room = 1 - delta(e).upper;
    best = std::max({best, room - std::exp(e) * alpha, std::exp(-e) * (room - alpha)});
    if (best > 0 && room - std::exp(e) * alpha < 0 && std::exp(-e) < best) break;
  }
  return best;
}

GaussianDp PrivacyProfile::gaussian_dp() const {
  GaussianDp out;
  if (mu_ && max_divergence_ < 1e-12) {
    out.mu = *mu_ * (1 + 64 * kUnit);
    return out;
  }
  double most = kInfinity;
  for (double at = 1e-12; !std::isfinite(most); at *= 100) {
    if (at > 1e-3) return {kInfinity, 1};
    most = epsilon(Delta(at)).bracket.upper;
  }
  for (int i = 0; i <= 200; ++i) {
    const double e = most * i / 200;
    const double d = delta(e).upper;
    double low = out.mu;
    if (gaussian_delta(low, e).lower >= d) continue;
    double high = std::max(2 * low, 1e-6);
    while (gaussian_delta(high, e).lower < d && high < 1e6) high *= 2;
    while (high - low > 1e-9 * high) {
      const double middle = low + (high - low) / 2;
      (gaussian_delta(middle, e).lower < d ? low : high) = middle;
    }
    out.mu = high;
  }
  for (double z = -6; z <= 6; z += 0.05) {  // false-positive rates Phi(z)
    const double alpha = 0.5 * std::erfc(-z * M_SQRT1_2);
    const double gaussian = 0.5 * std::erfc((out.mu + z) * M_SQRT1_2);
    out.regret = std::max(out.regret, trade_off(alpha) - gaussian);
  }
  return out;
}

std::optional<double> PrivacyProfile::zero_concentrated() const {
  if (!mu_ || max_divergence_ > 0) return std::nullopt;
  return *mu_ * *mu_ / 2 * (1 + 256 * kUnit);
}

Result<DirectedBracket> pld_epsilon(std::span<const GaussianSteps> steps, Delta delta, const Relation& relation,
                                    double max_divergence) {
  SOTTO_TRY_VOID(check(relation));
  const Merged merged = merge(steps);
  if (merged.sampled.empty()) {
    SOTTO_TRY(const PrivacyProfile profile, PrivacyProfile::of(steps, relation, delta, max_divergence));
    return profile.epsilon(delta);
  }
  return compose_here(merged, relation, delta, max_divergence).epsilon;
}

Result<AllRelations> pld_all_relations(std::span<const GaussianSteps> steps, Delta delta, std::uint64_t group_size,
                                       double max_divergence) {
  AllRelations out;
  SOTTO_TRY(const PrivacyProfile both, PrivacyProfile::of(steps, {}, delta, max_divergence));
  SOTTO_TRY(const auto replace, pld_epsilon(steps, delta, {Neighbours::kReplace, 1}, max_divergence));
  SOTTO_TRY(const auto group, pld_epsilon(steps, delta, {Neighbours::kAddRemove, group_size}, max_divergence));
  const DirectedBracket worse = both.epsilon(delta);
  out.remove = both.epsilon(delta, Direction::kRemove);
  out.add = both.epsilon(delta, Direction::kAdd);
  out.replace = replace.bracket;
  out.zero_out = worse.bracket;
  out.group = group.bracket;
  out.group_size = group_size;
  out.worse = worse.direction;
  return out;
}

}  // namespace sotto::privacy
