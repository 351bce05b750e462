#include "privacy/accounting/repeat_select.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"

namespace sotto::privacy {
namespace {

// (e^x - 1) / x and ln(x) / (x - 1), also where they are near 1.
double expm1_over(double x) { return std::abs(x) < 1e-8 ? 1 + x / 2 : std::expm1(x) / x; }
double log_over(double x) { return std::abs(x - 1) < 1e-8 ? 1 - (x - 1) / 2 : std::log(x) / (x - 1); }

// The mean of the truncated negative binomial distribution of parameters shape, gamma: definition 1.
double mean_runs(double gamma, double shape) { return 1 / (gamma * expm1_over(shape * std::log(gamma)) * log_over(gamma)); }

// The gamma in (0, 1] whose mean it is, rounded down (more runs, more loss).
double gamma_of_mean(double mean, double shape) {
  double low = std::log(1e-18);
  double high = 0;
  for (int i = 0; i < 200 && high - low > 1e-14; ++i) {
    const double middle = (low + high) / 2;
    (mean_runs(std::exp(middle), shape) < mean ? high : low) = middle;
  }
  return std::exp(low);
}

// Near the least value over ln(order - 1); any order gives a valid bound.
double least_over_orders(const std::function<double(double)>& f) {
  double best = std::numeric_limits<double>::infinity();
  double at = 0;
  const auto look = [&](double t) {
    const double value = f(1 + std::exp(t));
    if (value < best) best = value, at = t;
  };
  for (double t = std::log(0.01); t <= std::log(4096); t += 0.5) look(t);
  for (double step = 0.25; step > 1e-6; step /= 2) {
    const double centre = at;
    look(centre - step);
    look(centre + step);
  }
  return best;
}

// Poisson of mean 1 by Duchon and Duvignau's algorithm (2016): the fixed points of a permutation that grows until they are
// settled.
std::uint64_t draw_poisson_one(RandomSource& random) {
  std::uint64_t n = 1, settled = 0, points = 1;
  while (true) {
    const std::uint64_t at = random.below(n + 1);
    if (at < n && at < settled) return points;
    if (at == n) {
      ++points;
    } else {
      --points;
      settled = n + 1;
    }
    ++n;
  }
}

class Repeated final : public RdpCurve {
 public:
  Repeated(std::vector<std::vector<RepeatedPart>> runs, double mean, std::optional<double> shape)
      : runs_(std::move(runs)), mean_(mean), shape_(shape) {
    if (!shape_) return;
    const double log_gamma = std::log(gamma_of_mean(mean_, *shape_));
    selection_ =
        (1 + *shape_) * least_over_orders([&](double order) { return (1 - 1 / order) * run(order) - log_gamma / order; });
  }

  double at(double order, Direction) override {
    const double pays = run(order) + std::log(mean_) / (order - 1);
    if (shape_) return pays + selection_;
    const double epsilon = std::log1p(1 / (order - 1));
    return pays + mean_ * delta_of_run(epsilon);
  }

 private:
  double run(double order) {
    double most = 0;
    for (const auto& parts : runs_) most = std::max(most, run(parts, order));
    return most;
  }

  static double run(const std::vector<RepeatedPart>& parts, double order) {
    double remove = 0;
    double add = 0;
    double besides = 0;
    for (const RepeatedPart& part : parts) {
      besides += part.max_divergence * (2 * order - 1) / (order - 1);
      remove += part.count * part.curve->at(order, Direction::kRemove);
      add += part.count * part.curve->at(order, Direction::kAdd);
    }
    return std::max(remove, add) + besides;
  }

  // epsilon_of_rdp, the other way round; least over orders.
  double delta_of_run(double epsilon) {
    const double log_delta = least_over_orders([&](double order) {
      const double rdp = run(order);
      const double conversion = (order - 1) * (rdp - epsilon + std::log1p(-1 / order)) - std::log(order);
      return std::min(conversion, 0.5 * std::log(-std::expm1(-rdp)));
    });
    return std::exp(std::min(log_delta, 0.0));
  }

  std::vector<std::vector<RepeatedPart>> runs_;
  double mean_;
  std::optional<double> shape_;
  double selection_ = 0;
};

}  // namespace

std::unique_ptr<RdpCurve> repeated(std::vector<std::vector<RepeatedPart>> runs, double mean, std::optional<double> shape) {
  return std::make_unique<Repeated>(std::move(runs), mean, shape);
}

std::uint64_t draw_number(const Trials& trials, RandomSource& random) {
  const auto mean = static_cast<std::uint64_t>(trials.mean);
  SOTTO_CHECK(static_cast<double>(mean) == trials.mean && mean >= 1 && trials.kind != TrialsKind::kNone);
  std::uint64_t number = 0;
  if (trials.kind == TrialsKind::kPoisson) {
    for (std::uint64_t i = 0; i < mean; ++i) number += draw_poisson_one(random);
    return number;
  }
  do ++number;
  while (random.below(mean) != 0);
  return number;
}

}  // namespace sotto::privacy
