#include "privacy/losses/gaussian_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-53;

// The standard normal distribution cut at one point: the smaller of its two parts, to within `error` (absolute).
struct Cut {
  double smaller = 0;
  double error = 0;
  bool left = false;  // the smaller part is the one below
};

Cut cut_at(double z) {
  const double t = std::abs(z) * M_SQRT1_2;
  if (!(t < 26)) return {0, std::isinf(z) ? 0 : 1e-290, z < 0};
  // erfc to a few units in its last place; z and t carry four roundings, each of which moves the tail by 2 t^2 + 2 of them.
  const double tail = 0.5 * std::erfc(t);
  return {tail, tail * kUnit * (16 + 8 * (t * t + 1)), z < 0};
}

// Mass between two cuts, a before b.
void add_between(const Cut& a, const Cut& b, double weight, double& low, double& high) {
  double mass = 0;
  double error = a.error + b.error;
  if (a.left != b.left) {
    mass = 1 - a.smaller - b.smaller;
    error += 4 * kUnit;
  } else {
    mass = std::abs(a.smaller - b.smaller);
  }
  error += 4 * kUnit * mass;
  low += weight * std::max(0.0, mass - error) * (1 - 4 * kUnit);
  high += weight * (mass + error) * (1 + 4 * kUnit);
}

// Binomial(n, q)(k) for k = 0..n.
std::vector<double> binomial(std::uint64_t n, double q) {
  std::vector<double> out = {1};
  for (std::uint64_t i = 0; i < n; ++i) {
    out.push_back(0);
    for (std::size_t k = out.size() - 1; k > 0; --k) out[k] = out[k] * (1 - q) + out[k - 1] * q;
    out[0] *= 1 - q;
  }
  return out;
}

double log_mixture(const std::vector<GaussianLoss::Component>& components, double x, double sigma) {
  double largest = -kInfinity;
  for (const auto& c : components) {
    largest = std::max(largest, std::log(c.weight) + c.centre * (x - c.centre / 2) / (sigma * sigma));
  }
  double sum = 0;
  for (const auto& c : components) {
    sum += std::exp(std::log(c.weight) + c.centre * (x - c.centre / 2) / (sigma * sigma) - largest);
  }
  return largest + std::log(sum);
}

}  // namespace

GaussianLoss::GaussianLoss(double sigma, std::vector<Component> with, std::vector<Component> without, Direction direction)
    : sigma_(sigma), with_(std::move(with)), without_(std::move(without)), direction_(direction) {
  const auto unweighted = [](const Component& c) { return !(c.weight > 0); };
  std::erase_if(with_, unweighted);
  std::erase_if(without_, unweighted);
  SOTTO_CHECK(sigma > 0 && !with_.empty() && !without_.empty());
  bool differ = false;
  for (const Component& c : with_) {
    SOTTO_CHECK(c.centre >= 0);
    differ = differ || c.centre > 0;
  }
  for (const Component& c : without_) {
    SOTTO_CHECK(c.centre <= 0);
    differ = differ || c.centre < 0;
  }
  SOTTO_CHECK(differ);
  // What the exponents of log_mixture may be beyond the loss itself: each carries a few roundings of its own size.
  double size = 1;
  for (const auto* side : {&with_, &without_}) {
    for (const Component& c : *side) size = std::max({size, c.centre * c.centre / (sigma * sigma), -std::log(c.weight)});
  }
  edge_error_ = kEdgeError * size;
}

GaussianLoss GaussianLoss::sampled(NoiseMultiplier sigma, SamplingRate rate, Direction direction, Neighbours neighbours,
                                   std::uint64_t group) {
  SOTTO_CHECK(group >= 1 && group <= kLargestGroup);
  const std::vector<double> weights = binomial(group, rate.value());
  std::vector<Component> with;
  std::vector<Component> without;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    with.push_back({weights[k], static_cast<double>(k)});
    without.push_back({weights[k], -static_cast<double>(k)});
  }
  if (neighbours != Neighbours::kReplace) without = {{1, 0}};
  return GaussianLoss(sigma.value(), std::move(with), std::move(without), direction);
}

double GaussianLoss::log_ratio(double x) const { return log_mixture(with_, x, sigma_) - log_mixture(without_, x, sigma_); }

double GaussianLoss::output_of(double loss) const {
  const double s2 = sigma_ * sigma_;
  if (without_.size() == 1 && without_[0].centre == 0) {
    if (with_.size() == 1) return s2 * loss / with_[0].centre + with_[0].centre / 2;
    if (with_.size() == 2 && with_[0].centre == 0) {  // e^loss = 1 + q (e^u - 1)
      const double g = std::expm1(loss) / with_[1].weight;
      if (!(g > -1)) return -kInfinity;
      const double u = std::isfinite(g) ? std::log1p(g) : loss - std::log(with_[1].weight);
      return s2 * u / with_[1].centre + with_[1].centre / 2;
    }
  }
  if (with_.size() == 2 && without_.size() == 2 && with_[0].centre == 0 && without_[0].centre == 0 &&
      with_[1].weight == without_[1].weight && with_[1].centre == -without_[1].centre) {
    // (1 - q + k y) / (1 - q + k / y) = e^loss with y = e^(c x / sigma^2), k = q e^(-c^2 / (2 sigma^2)).
    const double c = with_[1].centre;
    const double k = with_[1].weight * std::exp(-c * c / (2 * s2));
    return s2 / c * (loss / 2 + std::asinh(with_[0].weight * std::sinh(loss / 2) / k));
  }
  // The loss grows with x: halve a bracket.
  double low = -1;
  double high = 1;
  while (log_ratio(low) > loss) {
    low = 2 * low - 1;
    if (low < -80 * sigma_ - 80) return -kInfinity;
  }
  while (log_ratio(high) < loss) {
    high = 2 * high + 1;
    if (high > (loss + 80) * (s2 + sigma_ + 80)) return kInfinity;
  }
  for (int i = 0; i < 200 && high - low > 1e-16 * (std::abs(low) + std::abs(high)); ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (log_ratio(middle) < loss ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

std::vector<LossMass> GaussianLoss::masses(std::span<const double> edges) const {
  const bool mirrored = direction_ == Direction::kAdd;  // P and Q exchanged: the loss is minus ln(with / without)
  const std::size_t n = edges.size();
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = mirrored ? output_of(-edges[n - 1 - i]) : output_of(edges[i]);
  std::vector<LossMass> out(n + 1);
  for (const auto* side : {&with_, &without_}) {
    const bool is_p = (side == &with_) != mirrored;
    for (const Component& c : *side) {
      Cut before{0, 0, true};
      for (std::size_t i = 0; i <= n; ++i) {
        const Cut here = i < n ? cut_at((x[i] - c.centre) / sigma_) : Cut{0, 0, false};
        LossMass& mass = out[mirrored ? n - i : i];
        add_between(before, here, c.weight, is_p ? mass.p_low : mass.q_low, is_p ? mass.p_high : mass.q_high);
        before = here;
      }
    }
  }
  return out;
}

}  // namespace sotto::privacy
