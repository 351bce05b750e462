#include "privacy/losses/noise_losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRelative = 1e-14;  // of the masses below: a few dozen roundings

// The mass of [a, b) under Laplace noise around 0, without cancellation.
double laplace_mass(double a, double b, double scale) {
  if (!(a < b)) return 0;
  if (a >= 0) return 0.5 * std::exp(-a / scale) * -std::expm1((a - b) / scale);
  if (b <= 0) return laplace_mass(-b, -a, scale);
  return 0.5 * -std::expm1(a / scale) + 0.5 * -std::expm1(-b / scale);
}

void add(LossMass& to, const LossMass& mass, double weight) {
  to.p_low += weight * mass.p_low;
  to.p_high += weight * mass.p_high;
  to.q_low += weight * mass.q_low;
  to.q_high += weight * mass.q_high;
}

}  // namespace

// Where ln(sampled density over the one around 0) reaches `log_ratio`.
double LaplaceLoss::output_of(double log_ratio) const {
  const double excess = std::expm1(log_ratio) / rate_;  // of the unsampled ratio
  if (!(excess > -1)) return -kInfinity;
  const double loss = std::log1p(excess);
  constexpr double kMet = 1e-13;  // the constant ends are met in spite of rounding
  if (loss <= -1 / scale_ * (1 - kMet)) return loss < -1 / scale_ * (1 + kMet) ? -kInfinity : 0;
  if (loss >= 1 / scale_ * (1 - kMet)) return loss > 1 / scale_ * (1 + kMet) ? kInfinity : 1;
  return (1 + scale_ * loss) / 2;
}

std::vector<LossMass> LaplaceLoss::masses(std::span<const double> edges) const {
  // With the unit's output pulled up the loss of removing grows with it: interval i is outputs [x_i, x_(i+1)). The constant
  // side below 0 has the lowest loss, that above 1 the highest; an edge on one takes in the whole side.
  std::vector<LossMass> out(edges.size() + 1);
  const bool remove = direction_ == Direction::kRemove;
  double from = remove ? -kInfinity : kInfinity;
  for (std::size_t i = 0; i <= edges.size(); ++i) {
    double to = remove ? kInfinity : -kInfinity;
    if (i < edges.size()) {
      to = output_of(remove ? edges[i] : -edges[i]);
      if (remove && to == 0) to = -kInfinity;
      if (!remove && to == 1) to = kInfinity;
    }
    const double low = std::min(from, to);
    const double high = std::max(from, to);
    const double without = laplace_mass(low, high, scale_);
    const double with = (1 - rate_) * without + rate_ * laplace_mass(low - 1, high - 1, scale_);
    const double p = remove ? with : without;
    const double q = remove ? without : with;
    out[i] = {p * (1 - kRelative), p * (1 + kRelative), q * (1 - kRelative), q * (1 + kRelative)};
    from = to;
  }
  return out;
}

std::vector<LossMass> CoinLoss::masses(std::span<const double> edges) const {
  const std::vector<LossMass> first = first_->masses(edges);
  const std::vector<LossMass> second = second_->masses(edges);
  std::vector<LossMass> out(first.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto low = [&](double a, double b) { return (low_ * a + (1 - high_) * b) * (1 - kRelative); };
    const auto high = [&](double a, double b) { return (high_ * a + (1 - low_) * b) * (1 + kRelative); };
    out[i] = {low(first[i].p_low, second[i].p_low), high(first[i].p_high, second[i].p_high),
              low(first[i].q_low, second[i].q_low), high(first[i].q_high, second[i].q_high)};
  }
  return out;
}

std::vector<LossMass> SplicedLoss::masses(std::span<const double> edges) const {
  // The edges with 0 among them: intervals below `middle` are the one pair's, from it on the other's.
  std::vector<double> split(edges.begin(), edges.end());
  const auto place = std::lower_bound(split.begin(), split.end(), 0.0);
  const bool has_zero = place != split.end() && *place == 0;
  const auto middle = static_cast<std::size_t>(place - split.begin()) + 1;
  if (!has_zero) split.insert(place, 0.0);
  const std::vector<LossMass> above = above_->masses(split);
  const std::vector<LossMass> below = below_->masses(split);
  std::vector<LossMass> out(edges.size() + 1);
  double p_low = 0;
  double p_high = 0;
  for (std::size_t i = 0; i < split.size() + 1; ++i) {
    const LossMass& mass = i < middle ? below[i] : above[i];
    const std::size_t to = i < middle || has_zero ? i : i - 1;
    add(out[to], mass, 1);
    p_low += mass.p_low;
    p_high += mass.p_high;
  }
  // At 0 both have what is left of P.
  const double n = 1e-15 * static_cast<double>(split.size());
  const double rest_low = std::max(0.0, 1 - p_high * (1 + n) - n);
  const double rest_high = std::max(0.0, 1 - p_low * (1 - n) + n);
  add(out[has_zero ? middle : middle - 1], {rest_low, rest_high, rest_low, rest_high}, 1);
  return out;
}

}  // namespace sotto::privacy
