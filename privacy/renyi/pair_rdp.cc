#include "privacy/renyi/pair_rdp.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "privacy/renyi/log_sum.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMostOutputs =
    3e5;  // nodes of a table: a few milliseconds an order. Above, the unsampled bound answers (privacy.md, 5)
constexpr double kHuge = 1e250;
constexpr double kNegligible = 45;  // what is exp(-45) of the sum falls off like a Gaussian from there

// ln(1 + r) - r
double log1p_gap(double r) {
  if (std::abs(r) > 0.05) return std::log1p(r) - r;
  double power = r * r;
  double sum = -power / 2;
  for (int k = 3; k <= 15; ++k) {
    power *= -r;
    sum -= power / k;
  }
  return sum;
}

// exp(z) - 1 - z
double expm1_gap(double z) {
  if (std::abs(z) > 0.1) return std::expm1(z) - z;
  double term = z * z / 2;
  double sum = term;
  for (int k = 3; k <= 11; ++k) {
    term *= z / k;
    sum += term;
  }
  return sum;
}

}  // namespace

const PairCurve::Node& PairCurve::node(double k) {
  std::vector<Node>& side = k >= 0 ? up_ : down_;
  const auto index = static_cast<std::size_t>(k >= 0 ? k : -1 - k);
  while (side.size() <= index) {
    const double n = static_cast<double>(side.size());
    const PairOutput o = pair_->output(k >= 0 ? n : -1 - n, level_);
    const double gap =
        o.excess < kHuge ? (std::abs(o.excess) > 0.05 ? o.log_ratio - o.excess : log1p_gap(o.excess)) : -kInfinity;
    side.push_back({std::exp(o.log_q), o.log_q, o.excess, o.log_ratio, gap});
  }
  return side[index];
}

double PairCurve::log_moment_less_one(double a) {
  const int level = std::max(level_, pair_->level(a));
  const OutputPair::Reach reach = pair_->reach(a, level);
  if (!(reach.up - reach.down < kMostOutputs)) return kInfinity;
  if (level != level_) {
    level_ = level;
    up_.clear();
    down_.clear();
  }
  double sum = 0;
  LogSum large;  // terms that are out of a double's range, or near it
  // Adds a node's term; true when it is negligible.
  const auto add = [&](const Node& n) {
    if (n.log_q == -kInfinity) return true;
    const double z = a * n.log_ratio;
    if (z <= 40 && n.log_q > -650 && n.excess < kHuge) {
      const double term = n.q * (expm1_gap(z) + a * n.gap);
      sum += term;
      return term <= sum * 1e-20;
    }
    double log_term = n.log_q;
    if (z > 40) {
      const double rest = n.excess < kHuge ? (1 + a * n.excess) * std::exp(-z) : a * std::exp(n.log_ratio - z);
      log_term += z + std::log1p(-rest);
    } else if (n.excess < kHuge) {
      log_term += std::log(expm1_gap(z) + a * n.gap);
    } else {
      log_term += std::log(std::abs(a)) + n.log_ratio;  // a < 0: the other terms vanish beside |a| r
    }
    large.add(log_term);
    return log_term < std::max(large.log(), std::log(sum)) - kNegligible;
  };
  for (double k = 0; !add(node(k)) || k < reach.up; ++k) {
  }
  for (double k = -1; !add(node(k)) || k > reach.down; --k) {
  }
  return log_add(sum > 0 ? std::log(sum) : -kInfinity, large.log());
}

double PairCurve::at(double order, Direction direction) {
  SOTTO_CHECK(order > 1);
  const double log_excess = log_moment_less_one(direction == Direction::kRemove ? order : 1 - order);
  const double log_moment = log_excess > 40 ? log_excess : std::log1p(std::exp(log_excess));
  return log_moment / (order - 1) * (1 + kRoundoffCover);
}

GaussianPair::Side::Side(double sigma, const std::vector<GaussianComponent>& all) {
  double at_zero = 0;
  double nearest = kInfinity;
  for (const GaussianComponent& c : all) {
    if (c.weight == 0) continue;
    parts.push_back({c.weight, std::log(c.weight), c.centre / sigma});
    farthest = std::max(farthest, std::abs(c.centre) / sigma);
    if (c.centre == 0) {
      at_zero += c.weight;
    } else {
      nearest = std::min(nearest, std::abs(c.centre) / sigma);
    }
  }
  // Where the nearest other component has fallen to the weight at 0.
  flat_from = at_zero == 0           ? kInfinity
              : nearest == kInfinity ? 0
                                     : std::max(0.0, -std::log(at_zero) / nearest - nearest / 2);
}

void GaussianPair::Side::over_standard(double x, double& log_ratio, double& excess) const {
  excess = 0;
  double log_sum = -kInfinity;
  for (const Part& part : parts) {
    const double u = (x - part.centre / 2) * part.centre;
    excess += part.centre == 0 ? 0 : part.weight * std::expm1(u);
    log_sum = log_add(log_sum, part.log_weight + u);
  }
  log_ratio = std::abs(excess) < 0.5 ? std::log1p(excess) : log_sum;
}

GaussianPair::GaussianPair(double sigma, const std::vector<GaussianComponent>& with,
                           const std::vector<GaussianComponent>& without)
    : with_(sigma, with), without_(sigma, without) {}

double GaussianPair::step(int level) const {
  return std::ldexp(std::min(0.5, 0.25 / std::max(with_.farthest, without_.farthest)), -level);
}

int GaussianPair::level(double a) const {
  // A negative power of one side's density grows off the real line: docs/privacy.md, "Quadrature".
  const double grows =
      1 + std::max(-a * with_.farthest * with_.farthest, (a - 1) * without_.farthest * without_.farthest) / 4;
  int level = 0;
  while (grows > 1 && step(level) > 0.5 / std::sqrt(grows)) ++level;
  return level;
}

OutputPair::Reach GaussianPair::reach(double a, int level) const {
  // Each maximum of P^a Q^(1-a), and of r^2 Q, lies within the sum of the powers' pulls.
  const double pull_with = std::max(std::abs(a), 2.0) * with_.farthest;
  const double pull_without = std::max(std::abs(1 - a), 2.0) * without_.farthest;
  const double h = step(level);
  Reach reach;
  if (a > 0) {
    reach.up = pull_with + std::min(pull_without, without_.flat_from);
    reach.down = -2 * without_.farthest;
  } else {
    reach.up = 2 * with_.farthest;
    reach.down = -pull_without - std::min(pull_with, with_.flat_from);
  }
  reach.up = std::ceil((reach.up + 8) / h);
  reach.down = std::floor((reach.down - 8) / h);
  return reach;
}

PairOutput GaussianPair::output(double k, int level) const {
  const double h = step(level);
  const double x = k * h;
  double log_p = 0;
  double log_q = 0;
  double excess_p = 0;
  double excess_q = 0;
  with_.over_standard(x, log_p, excess_p);
  without_.over_standard(x, log_q, excess_q);
  PairOutput out;
  out.log_q = -x * x / 2 + std::log(h / std::sqrt(2 * M_PI)) + log_q;
  out.excess = (excess_p - excess_q) / (1 + excess_q);
  if (std::abs(out.excess) < 0.5) {
    out.log_ratio = std::log1p(out.excess);
  } else {
    out.log_ratio = log_p - log_q;
    if (!(std::abs(excess_q) < 0.5 && excess_p < kHuge)) out.excess = std::expm1(out.log_ratio);
  }
  return out;
}

}  // namespace sotto::privacy
