// The numbers that a report draws from what was spent: bounds by each accountant, the curve over delta, the trade-off of an
// attacker's errors, and what they mean for a guess. Upper bounds are rounded up and lower ends down to four decimals, so
// that machines agree on every digit and no printed bound is better than the computed one. Pure functions, which remember
// their last answers; any thread.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/ledger/spending.h"
#include "base/json.h"
#include "privacy/accounting/profile.h"
#include "privacy/accounting/relations.h"

namespace sotto::audit {

// Of the numbers below: another one when the same events give other numbers.
constexpr int kAccountantVersion = 1;

// Up to four decimals; "none" when not finite.
Json rounded_up(double value);
Json rounded_down(double value);

// Both accountants' answers to one question. The ledger charges what is proven.
struct Accounted {
  double rdp = std::numeric_limits<double>::infinity();  // upper bound
  std::optional<privacy::Bracket> pld;  // the exact composed epsilon lies in it; none for events that it does not know
  double proven() const;                // the smaller upper bound
  bool contradicts() const { return pld && pld->lower > rdp; }  // impossible, unless one of them is wrong
};

// What was spent, by its privacy loss; none without privacy, and for events that have no dominating pair where units come
// and go.
std::shared_ptr<const privacy::PrivacyProfile> profile_of(const Spent& spent, double delta);
Accounted account(const Spent& spent, double delta);
// One unit more, less, replaced or zeroed out, and two units together. None without privacy.
std::optional<privacy::Relations> relations_of(const Spent& spent, double delta);

// What an epsilon of these events compares, in words: "add or remove one patient"; "replace one patient" where batches of a
// fixed size tell how many there are.
std::string relation_text(const std::vector<privacy::DpEvent>& events, const std::string& unit);

struct CurvePoint {
  double delta = 0;
  Accounted epsilon;  // with a finite upper bound
};
// From large deltas to small ones, plan_delta among them; empty without a finite epsilon.
std::vector<CurvePoint> curve_of(const Spent& spent, double plan_delta);

// From the curve, by Kairouz, Oh, Viswanath 2015, arXiv 1311.0776: no test of whether a unit took part has, at a false alarm
// rate of `alpha`, a miss rate below `beta`.
struct TradeOffPoint {
  double alpha = 0;
  double beta = 0;
};
std::vector<TradeOffPoint> trade_off_of(const std::vector<CurvePoint>& curve);
// The largest true-positive rate minus false-positive rate of any such test: the least over the curve of
// (e^epsilon - 1 + 2 delta) / (e^epsilon + 1). 1 without a curve.
double advantage_of(const std::vector<CurvePoint>& curve);
// The largest share of right answers that anybody can reach who guesses, from everything that was released, whether a unit
// took part, when both cases are equally likely.
inline double best_guess_accuracy(const std::vector<CurvePoint>& curve) { return (1 + advantage_of(curve)) / 2; }

// The largest probability that a unit took part, for somebody who thought it `prior` before and saw everything released;
// by Bayes at odds e^epsilon, but for the probability delta that the promise leaves open.
double posterior_of(double prior, double epsilon);

}  // namespace sotto::audit
