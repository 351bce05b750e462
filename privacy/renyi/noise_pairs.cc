#include "privacy/renyi/noise_pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "privacy/renyi/log_sum.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Gauss-Legendre nodes on [0, 1] and their weights, 12 points: Abramowitz, Stegun 1964, table 25.4.
struct Node {
  double at, weight;
};
constexpr double kHalf[6][2] = {
    {0.125233408511468915472, 0.249147045813402785001}, {0.367831498998180193753, 0.233492536538354808761},
    {0.587317954286617447297, 0.203167426723065921749}, {0.769902674194304687037, 0.160078328543346226335},
    {0.904117256370474856678, 0.106939325995318430960}, {0.981560634246719250690, 0.047175336386511827195}};
constexpr double kPoints = 12;
Node legendre(int i) {
  const auto& half = kHalf[i % 6];
  return {0.5 + (i < 6 ? half[0] : -half[0]) / 2, half[1] / 2};
}

// An output of P and Q with the sampled (1 - rate) Q + rate P in P's place.
PairOutput sampled(double log_q, double log_p, double rate) {
  PairOutput out;
  out.log_q = log_q;
  const double loss = log_p - log_q;
  out.excess = rate * std::expm1(loss);
  if (rate == 1) {
    out.log_ratio = loss;
  } else if (std::abs(out.excess) < 0.5) {
    out.log_ratio = std::log1p(out.excess);
  } else {
    out.log_ratio = log_add(std::log1p(-rate), std::log(rate) + loss);
  }
  return out;
}

constexpr PairOutput kNothing{-kInfinity, 0, 0};

}  // namespace

PairOutput FinitePair::output(double k, int) const {
  if (k < 0 || k >= static_cast<double>(outcomes_.size())) return kNothing;
  const Outcome& o = outcomes_[static_cast<std::size_t>(k)];
  return {std::log(o.q), (o.p - o.q) / o.q, std::log(o.p) - std::log(o.q)};
}

PairOutput IntegerPair::output(double k, int) const {
  const auto x = static_cast<std::int64_t>(k);
  const double log_q = noise_.log_probability(x);
  const double log_p = noise_.log_probability(x - distance_);
  if (log_q == -kInfinity || log_p == -kInfinity) return kNothing;
  return sampled(log_q, log_p, rate_);
}

double IntegerPair::log_term(std::int64_t x, double a) const {
  return a * noise_.log_probability(x - distance_) + (1 - a) * noise_.log_probability(x);
}

OutputPair::Reach IntegerPair::reach(double a, int) const {
  // Where P^a Q^(1-a) is largest, on the side that the power pulls to: from there the terms of one output less go down.
  // Walked in doubling steps; its logarithm is concave there.
  const std::int64_t sign = a > 0 ? 1 : -1;
  std::int64_t at = a > 0 ? distance_ : 0;
  std::int64_t step = 1;
  const std::int64_t last = noise_.last() - distance_;
  while (std::abs(at) < last) {
    const std::int64_t next = at + sign * step;
    if (std::abs(next) < last && log_term(next, a) >= log_term(next - sign, a)) {
      at = next;
      step *= 2;
    } else if (step == 1) {
      break;
    } else {
      step = 1;
    }
  }
  // A table that ends before the terms are negligible has no answer.
  if (std::abs(at) + 1 >= last || log_term(sign * last, a) > log_term(at, a) - 60) return {-kInfinity, kInfinity};
  const double pulled = static_cast<double>(at) + static_cast<double>(sign);
  const double twice = 2 * static_cast<double>(distance_);  // r^2 Q, which rules where r is small
  return a > 0 ? Reach{-twice, std::max(pulled, twice)} : Reach{std::min(pulled, -twice), twice};
}

double LaplacePair::panels(int level) const { return std::ldexp(std::ceil(1 + 1 / scale_), level); }

int LaplacePair::level(double a) const {
  // Over one panel the integrand's logarithm changes by at most 2.
  int level = 0;
  while (2 * (std::abs(a) + 1) / scale_ > 2 * panels(level) && level < 24) ++level;
  return level;
}

OutputPair::Reach LaplacePair::reach(double, int level) const { return {0, panels(level) * kPoints + 2}; }

PairOutput LaplacePair::output(double k, int level) const {
  const double all = panels(level);
  if (k < 0 || k >= all * kPoints + 2) return kNothing;
  if (k == 0) return sampled(std::log(0.5), std::log(0.5) - 1 / scale_, rate_);
  if (k == 1) return sampled(std::log(0.5) - 1 / scale_, std::log(0.5), rate_);
  const double panel = std::floor((k - 2) / kPoints);
  const Node node = legendre(static_cast<int>(k - 2 - panel * kPoints));
  const double x = (panel + node.at) / all;
  const double log_q = std::log(node.weight / all / (2 * scale_)) - x / scale_;
  return sampled(log_q, log_q + (2 * x - 1) / scale_, rate_);
}

OutputPair::Reach FixedSizePair::reach(double a, int) const {
  // Panels of width `kWidth` from the middle outwards; the farthest maximum is where the power pulls.
  const double far = (std::max(std::abs(a), std::abs(1 - a)) + 1) * distance_ + 8;
  const double width = 0.5 / std::max(1.0, distance_);
  const double all = std::ceil(far / width) * kPoints;
  return {-all, all};
}

PairOutput FixedSizePair::output(double k, int) const {
  const double width = 0.5 / std::max(1.0, distance_);
  const bool above = k >= 0;
  const double index = above ? k : -1 - k;
  const double panel = std::floor(index / kPoints);
  const Node node = legendre(static_cast<int>(index - panel * kPoints));
  const double away = (panel + node.at) * width;  // from the middle
  const double x = distance_ / 2 + (above ? away : -away);
  const double log_node = std::log(node.weight * width / std::sqrt(2 * M_PI));
  const double log_q = log_node - x * x / 2;
  const double loss = (x - distance_ / 2) * distance_;
  if (above) return sampled(log_q, log_q + loss, rate_);
  // Below: P against (1 - rate) P + rate Q, which is the mirror image with the parts exchanged.
  const PairOutput mirrored = sampled(log_q + loss, log_q, rate_);
  PairOutput out;
  out.log_q = mirrored.log_q + mirrored.log_ratio;
  out.log_ratio = -mirrored.log_ratio;
  out.excess = -mirrored.excess / (1 + mirrored.excess);
  if (!std::isfinite(mirrored.excess)) out.excess = -1;
  return out;
}

}  // namespace sotto::privacy
