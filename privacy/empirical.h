// What an attack shows about epsilon: lower bounds, each with a probability `failure` of being wrong. They stand beside the
// proven upper bounds and never replace them: a small one shows a weak attack or a good mechanism, and cannot tell which;
// one that is above the proven bound shows that the program or the proof is wrong. Pure functions of counts and scores.
//
// One run: Steinke, Nasr, Jagielski 2023, arXiv 2305.08846. m canaries are included or not by independent fair coins; after
// the run the attacker guesses r <= m of the coins and gets v right. If the run is (epsilon, delta)-DP towards each canary,
//   P[V >= v] <= P[W >= v] + 2 m delta max_{1 <= i <= v} P[v > W >= v - i] / i,   W ~ Binomial(r, 1 / (1 + e^-epsilon))
// (corollary 5.4 there). r must be fixed before the scores are seen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace sotto::privacy {

struct GuessCount {
  std::uint64_t canaries = 0;  // m
  std::uint64_t guesses = 0;   // r
  std::uint64_t correct = 0;   // v
  bool operator==(const GuessCount&) const = default;
};
// v <= r <= m, m from 1 to 10^7; the message names what does not fit.
Result<void> check(const GuessCount& count);

// The bound above on the probability of at least so many correct guesses; 1 when it says nothing.
double one_run_p_value(const GuessCount& count, double epsilon, double delta);
// The largest epsilon whose p-value is below `failure`: with that much confidence the run is not (epsilon', delta)-DP for
// any smaller epsilon'. 0 when nothing is shown.
double one_run_epsilon(const GuessCount& count, double delta, double failure);

// Mahloujifar, Melis, Chaudhuri 2024, arXiv 2410.22235, algorithm 2 with abstentions, for the trade-off function of a
// mu-Gaussian mechanism: whether the guesses reject, at level `failure`, that the run is mu-GDP towards each canary.
bool one_run_rejects_gdp(const GuessCount& count, double mu, double failure);
// The largest mu that is rejected; 0 when none is. Often more than what one_run_epsilon shows of a Gaussian mechanism,
// because the whole trade-off curve is used. It bounds mu, and no epsilon at a given delta.
double one_run_mu(const GuessCount& count, double failure);

// Guesses by rank: of the scores (higher: more likely included), the r/2 highest are guessed in and the r/2 lowest out; the
// rest is abstained from. Ties are broken by position, which the coins do not depend on. `guesses` is even and at most the
// number of scores.
GuessCount guess_by_rank(std::span<const double> scores, const std::vector<bool>& included, std::uint64_t guesses);

// Clopper and Pearson 1934: an interval that holds the true probability but with probability `failure`, half on each side.
struct Interval {
  double lower = 0;
  double upper = 1;
};
Interval clopper_pearson(std::uint64_t successes, std::uint64_t trials, double failure);

// An attack with fixed threshold in independent runs, with and without one canary: epsilon >= ln((TPR - delta) / FPR) and
// ln((1 - FPR - delta) / (1 - TPR)), each rate at the worse end of its Clopper-Pearson interval. 0 when nothing is shown.
struct RateCount {
  std::uint64_t detected = 0;  // guessed in
  std::uint64_t trials = 0;
};
double many_run_epsilon(const RateCount& with_canary, const RateCount& without_canary, double delta, double failure);

// How well scores separate: the area under the ROC curve (ties count half), and the largest rate of members above a
// threshold that at most `false_positive_rate` of the non-members pass. Descriptions, not bounds.
struct Separation {
  double auc = 0.5;
  double tpr_at_1_percent = 0;
  double tpr_at_01_percent = 0;  // 0.1 %
};
Separation separation_of(std::span<const double> scores, const std::vector<bool>& included);

}  // namespace sotto::privacy
