#include "privacy/rdp.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace sotto::privacy {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The logarithm of a sum of exponentials, term by term.
class LogSum {
 public:
  void add(double log_term) {
    if (log_term == -kInfinity) return;
    if (log_term > largest_) {
      sum_ *= std::exp(largest_ - log_term);
      largest_ = log_term;
    }
    sum_ += std::exp(log_term - largest_);
  }
  double largest() const { return largest_; }
  double log() const { return sum_ > 0 ? largest_ + std::log(sum_) : -kInfinity; }

 private:
  double largest_ = -kInfinity;
  double sum_ = 0;
};

double log_add(double a, double b) { return std::max(a, b) + std::log1p(std::exp(-std::abs(a - b))); }

double log_expm1(double x) { return x > 40 ? x : std::log(std::expm1(x)); }

// log(A - 1) for a whole order alpha, A = E[(1 + w)^alpha] as below. Mironov, Talwar, Zhang 2019, section 3.3, less the
// binomial series of 1: A - 1 = sum_{k=2}^{alpha} C(alpha, k) q^k (1-q)^(alpha-k) (exp((k^2 - k) / (2 sigma^2)) - 1), all
// terms positive, so that no digit is lost where A is near 1.
double log_moment_less_one_by_sum(double alpha, double sigma, double q) {
  LogSum sum;
  const long double log_ratio = std::log(static_cast<long double>(q)) - std::log1p(-static_cast<long double>(q));
  long double log_weight = static_cast<long double>(alpha) * std::log1p(-static_cast<long double>(q));
  for (double k = 1; k <= alpha; ++k) {
    log_weight += std::log(static_cast<long double>((alpha - k + 1) / k)) + log_ratio;
    if (k >= 2) sum.add(static_cast<double>(log_weight) + log_expm1(k * (k - 1) / (2 * sigma * sigma)));
  }
  return sum.log();
}

// The same for any real exponent a (alpha > 1 of kRemove; 1 - alpha of kAdd), by quadrature:
//   A - 1 = E[(1 + w)^a - 1 - a w],  w = q (exp(u) - 1),  u = x / sigma - 1 / (2 sigma^2),  x ~ N(0, 1),
// since E[w] = 0. The integrand is positive and analytic, so equal steps converge exponentially.
class Moment {
 public:
  Moment(double a, double sigma, double q) : a_(a), sigma_(sigma), q_(q), log_q_(std::log(q)), log_rest_(std::log1p(-q)) {}

  double log_less_one() const {
    const double h = step();
    const double last_mode = std::max(a_, 1.0) / sigma_;  // every maximum of the integrand lies at or below it
    LogSum sum;
    for (double k = 0; k * h < last_mode + 12 || log_integrand(k * h) > sum.largest() - 60; ++k)
      sum.add(log_integrand(k * h));
    for (double k = -1; k * h > -12 || log_integrand(k * h) > sum.largest() - 60; --k) sum.add(log_integrand(k * h));
    return sum.log() + std::log(h) - 0.5 * std::log(2 * M_PI);
  }

  double nodes() const { return (24 + std::max(a_, 1.0) / sigma_) / step(); }

 private:
  // Small enough for an error below e^-70 of the integral: docs/privacy.md, "Quadrature".
  double step() const {
    const double h = std::min(0.25, sigma_ / 10);
    return a_ > 0 ? h : std::min(h, 0.45 * sigma_ / std::sqrt(sigma_ * sigma_ - a_ / 4));
  }

  double log_integrand(double x) const {
    const double u = (x - 0.5 / sigma_) / sigma_;
    return log_excess(u) - x * x / 2;
  }

  // log((1 + w)^a - 1 - a w)
  double log_excess(double u) const {
    const double w = q_ * std::expm1(u);
    const double slope = std::max(1.0, std::abs(a_));
    if (std::abs(w) * slope < 0.5) return std::log(series(w));
    const double power = a_ * (std::abs(w) < 0.5 ? std::log1p(w) : log_add(log_rest_, log_q_ + u));
    if (a_ > 0 && power > 40) {
      const double log_tangent = log_q_ + u > 40 ? std::log(a_) + log_q_ + u : std::log1p(a_ * w);
      return power + std::log(-std::expm1(log_tangent - power));
    }
    if (a_ < 0 && power > 40) return power + std::log1p(-(1 + a_ * w) * std::exp(-power));
    if (a_ < 0 && log_q_ + u > 40) return std::log(-a_) + log_q_ + u;
    return std::log(std::exp(power) - 1 - a_ * w);
  }

  // sum_{k >= 2} C(a, k) w^k, for |w| max(1, |a|) < 1/2: no term is above half of the one before.
  double series(double w) const {
    double term = a_ * (a_ - 1) / 2 * w * w;
    double sum = term;
    for (double k = 3; std::abs(term) > 1e-18 * sum; ++k) {
      term *= (a_ - k + 1) / k * w;
      sum += term;
    }
    return sum;
  }

  double a_, sigma_, q_, log_q_, log_rest_;
};

}  // namespace

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::kRemove: return "remove";
    case Direction::kAdd: return "add";
  }
  throw Failure("a direction outside its enumeration");
}

double rdp_of_step(double order, NoiseMultiplier sigma, SamplingRate rate, Direction direction) {
  SOTTO_CHECK(order > 1 && order <= kLargestOrder);
  const double s = sigma.value();
  const double q = rate.value();
  const double unsampled = order / (2 * s * s) * (1 + kRoundoffCover);  // Mironov 2017, proposition 7; sampling only helps
  if (rate.always()) return unsampled;
  double log_excess = 0;
  if (direction == Direction::kRemove && order == std::floor(order)) {
    log_excess = log_moment_less_one_by_sum(order, s, q);
  } else {
    const Moment moment(direction == Direction::kRemove ? order : 1 - order, s, q);
    if (!(moment.nodes() < 4e6)) return unsampled;
    log_excess = moment.log_less_one();
  }
  const double log_moment = log_excess > 40 ? log_excess : std::log1p(std::exp(log_excess));
  return std::min(log_moment / (order - 1) * (1 + kRoundoffCover), unsampled);
}

double epsilon_of_rdp(double order, double rdp, Delta delta) {
  if (!(order >= kSmallestOrder)) return kInfinity;
  if (delta.value() * delta.value() + std::expm1(-rdp) > 0) return 0;
  const double epsilon = rdp + std::log1p(-1 / order) - std::log(delta.value() * order) / (order - 1);
  return std::max(epsilon, 0.0);
}

}  // namespace sotto::privacy
