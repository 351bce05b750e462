#include "privacy/empirical.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/check.h"

namespace sotto::privacy {
namespace {

constexpr std::uint64_t kMostCanaries = 10'000'000;
constexpr double kMostEpsilon = 200;  // beyond, no number of guesses shows anything
constexpr double kMostMu = 50;
constexpr int kHalvings = 60;

double log_choose(double n, double k) { return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1); }

// P[Binomial(n, p) = k], for p strictly inside (0, 1), with q = 1 - p given apart for its digits.
double binomial_pmf(std::uint64_t k, std::uint64_t n, double p, double q) {
  const auto x = static_cast<double>(k);
  const auto y = static_cast<double>(n - k);
  return std::exp(log_choose(static_cast<double>(n), x) + x * std::log(p) + y * std::log(q));
}

// P[Binomial(n, p) >= k]: a sum of positive terms, smallest first.
double binomial_at_least(std::uint64_t k, std::uint64_t n, double p, double q) {
  if (k == 0) return 1;
  const auto mean = static_cast<std::uint64_t>(static_cast<double>(n) * p);
  double sum = 0;
  if (k <= mean) {  // the other tail is the smaller one
    for (std::uint64_t i = 0; i < k; ++i) sum += binomial_pmf(i, n, p, q);
    return std::max(0.0, 1 - sum);
  }
  for (std::uint64_t i = n + 1; i-- > k;) sum += binomial_pmf(i, n, p, q);
  return std::min(1.0, sum);
}

// The largest x in [0, most] with holds(x), for a predicate that holds up to some point; 0 when it never does.
template <class Holds>
double largest(double most, Holds&& holds) {
  if (!holds(0.0)) return 0;
  double low = 0;
  double high = most;
  if (holds(high)) return high;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = low + (high - low) / 2;
    (holds(middle) ? low : high) = middle;
  }
  return low;
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// By bisection on the cdf: exact enough at every x, and quick enough for a few million calls.
double normal_quantile(double p) {
  double low = -39;
  double high = 39;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return low;
}

std::vector<std::size_t> by_falling_score(std::span<const double> scores) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  return order;
}

double tpr_at(std::vector<double> members, std::vector<double> others, double false_positive_rate) {
  std::sort(others.begin(), others.end(), std::greater<>());
  const auto allowed = static_cast<std::size_t>(false_positive_rate * static_cast<double>(others.size()));
  // Strictly above the first score that may not pass.
  const auto above = std::count_if(members.begin(), members.end(),
                                   [&](double s) { return allowed >= others.size() || s > others[allowed]; });
  return static_cast<double>(above) / static_cast<double>(members.size());
}

}  // namespace

Result<void> check(const GuessCount& count) {
  if (count.canaries == 0 || count.canaries > kMostCanaries) {
    return invalid("an audit has from 1 to 10000000 canaries, not " + std::to_string(count.canaries));
  }
  if (count.guesses > count.canaries || count.correct > count.guesses) {
    return invalid("an audit of " + std::to_string(count.canaries) + " canaries cannot have " +
                   std::to_string(count.correct) + " right of " + std::to_string(count.guesses) + " guesses");
  }
  return {};
}

double one_run_p_value(const GuessCount& count, double epsilon, double delta) {
  SOTTO_CHECK(check(count).ok() && epsilon >= 0 && delta >= 0 && delta < 1);
  const double p = 1 / (1 + std::exp(-epsilon));
  const double q = std::exp(-epsilon) / (1 + std::exp(-epsilon));
  const double tail = binomial_at_least(count.correct, count.guesses, p, q);
  double worst = 0;
  double sum = 0;
  for (std::uint64_t i = 1; delta > 0 && i <= count.correct; ++i) {
    sum += binomial_pmf(count.correct - i, count.guesses, p, q);
    worst = std::max(worst, sum / static_cast<double>(i));
  }
  return std::min(1.0, tail + 2 * static_cast<double>(count.canaries) * delta * worst);
}

double one_run_epsilon(const GuessCount& count, double delta, double failure) {
  SOTTO_CHECK(failure > 0 && failure < 1);
  return largest(kMostEpsilon, [&](double epsilon) { return one_run_p_value(count, epsilon, delta) < failure; });
}

bool one_run_rejects_gdp(const GuessCount& count, double mu, double failure) {
  SOTTO_CHECK(check(count).ok() && mu >= 0 && failure > 0 && failure < 1);
  const auto m = static_cast<double>(count.canaries);
  const auto guesses = static_cast<double>(count.guesses);
  const auto correct = static_cast<double>(count.correct);
  double r = failure * correct / m;
  double h = failure * (guesses - correct) / m;
  for (std::uint64_t i = count.correct; i-- > 0;) {
    if (r + h > guesses / m) return true;  // both only grow
    const double next = std::max(h, normal_cdf(normal_quantile(r) - mu));
    const auto x = static_cast<double>(i);
    r += x / (guesses - x) * (next - h);
    h = next;
  }
  return r + h > guesses / m;
}

double one_run_mu(const GuessCount& count, double failure) {
  return largest(kMostMu, [&](double mu) { return one_run_rejects_gdp(count, mu, failure); });
}

GuessCount guess_by_rank(std::span<const double> scores, const std::vector<bool>& included, std::uint64_t guesses) {
  SOTTO_CHECK(scores.size() == included.size() && guesses % 2 == 0 && guesses <= scores.size());
  const auto order = by_falling_score(scores);
  GuessCount out{scores.size(), guesses, 0};
  for (std::size_t i = 0; i < guesses / 2; ++i) {
    out.correct += included[order[i]] ? 1 : 0;
    out.correct += included[order[order.size() - 1 - i]] ? 0 : 1;
  }
  return out;
}

Interval clopper_pearson(std::uint64_t successes, std::uint64_t trials, double failure) {
  SOTTO_CHECK(successes <= trials && trials > 0 && failure > 0 && failure < 1);
  Interval out;
  if (successes > 0) {  // the largest p under which so many successes are still too many to be chance
    out.lower = largest(
        1.0, [&](double p) { return p == 0 || (p < 1 && binomial_at_least(successes, trials, p, 1 - p) < failure / 2); });
  }
  if (successes < trials) {
    const std::uint64_t failures = trials - successes;
    out.upper = 1 - largest(1.0, [&](double p) {
                  return p == 0 || (p < 1 && binomial_at_least(failures, trials, p, 1 - p) < failure / 2);
                });
  }
  return out;
}

double many_run_epsilon(const RateCount& with_canary, const RateCount& without_canary, double delta, double failure) {
  // Each interval may fail with half of `failure`; of each only one end is used, so its other half is free.
  const Interval tpr = clopper_pearson(with_canary.detected, with_canary.trials, failure);
  const Interval fpr = clopper_pearson(without_canary.detected, without_canary.trials, failure);
  const auto log_ratio = [&](double top, double bottom) {
    return top - delta > 0 && bottom > 0 ? std::log((top - delta) / bottom) : 0.0;
  };
  return std::max({0.0, log_ratio(tpr.lower, fpr.upper), log_ratio(1 - fpr.upper, 1 - tpr.lower)});
}

Separation separation_of(std::span<const double> scores, const std::vector<bool>& included) {
  SOTTO_CHECK(scores.size() == included.size());
  std::vector<double> members;
  std::vector<double> others;
  for (std::size_t i = 0; i < scores.size(); ++i) (included[i] ? members : others).push_back(scores[i]);
  if (members.empty() || others.empty()) return {};
  std::vector<double> sorted = others;
  std::sort(sorted.begin(), sorted.end());
  double wins = 0;
  for (const double s : members) {
    const auto [below, upto] = std::equal_range(sorted.begin(), sorted.end(), s);
    wins += static_cast<double>(below - sorted.begin()) + 0.5 * static_cast<double>(upto - below);
  }
  return {wins / (static_cast<double>(members.size()) * static_cast<double>(others.size())), tpr_at(members, others, 0.01),
          tpr_at(members, others, 0.001)};
}

}  // namespace sotto::privacy
