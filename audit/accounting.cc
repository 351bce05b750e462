#include "audit/accounting.h"

#include <algorithm>
#include <cmath>

namespace sotto::audit {
namespace {

constexpr double kDecimals = 1e4;

}  // namespace

Json rounded_up(double value) {
  if (!std::isfinite(value)) return "none";
  return std::ceil(value * kDecimals) / kDecimals;
}

Json rounded_down(double value) {
  if (!std::isfinite(value)) return "none";
  return std::floor(value * kDecimals) / kDecimals;
}

std::vector<CurvePoint> curve_of(const Spent& spent, double plan_delta) {
  std::vector<CurvePoint> out;
  if (spent.without_privacy) return out;
  std::vector<double> deltas = {0.5,  0.4,  0.3,  0.25, 0.2,  0.15, 0.1,  0.05,  3e-2,  1e-2,  3e-3,  1e-3, 3e-4, 1e-4, 3e-5,
                                1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 3e-9, 1e-9, 3e-10, 1e-10, 1e-11, 1e-12};
  if (std::find(deltas.begin(), deltas.end(), plan_delta) == deltas.end()) deltas.push_back(plan_delta);
  std::sort(deltas.begin(), deltas.end(), std::greater<>());
  for (const double delta : deltas) {
    const double epsilon = composed_epsilon(spent, delta);
    if (std::isfinite(epsilon)) out.push_back({delta, epsilon});
  }
  return out;
}

std::vector<TradeOffPoint> trade_off_of(const std::vector<CurvePoint>& curve) {
  std::vector<TradeOffPoint> out;
  for (const double alpha : {0.0, 1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}) {
    double beta = 0;
    for (const auto& [delta, epsilon] : curve) {
      beta = std::max({beta, 1 - delta - std::exp(epsilon) * alpha, std::exp(-epsilon) * (1 - delta - alpha)});
    }
    out.push_back({alpha, beta});
  }
  return curve.empty() ? std::vector<TradeOffPoint>() : out;
}

double advantage_of(const std::vector<CurvePoint>& curve) {
  double least = 1;
  for (const auto& [delta, epsilon] : curve) {
    const double e = std::exp(-epsilon);
    least = std::min(least, (1 - e + 2 * delta * e) / (1 + e));
  }
  return least;
}

double posterior_of(double prior, double epsilon) {
  if (!std::isfinite(epsilon)) return 1;
  return prior / (prior + (1 - prior) * std::exp(-epsilon));
}

}  // namespace sotto::audit
