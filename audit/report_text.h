// The report's fixed sentences: what is promised, who is trusted for what, and what is not covered. In one file, so that a
// lawyer and a cryptographer can review them together. Conditions on the plan choose among them; nothing else does.
#pragma once

#include <string>
#include <vector>

#include "base/run_plan.h"

namespace sotto::audit {

struct Trust {
  std::string who;
  std::string sees;
  std::string protection;
};

std::vector<Trust> trust_statements(const RunPlan& plan);
std::vector<std::string> not_covered(const RunPlan& plan);
// One sentence each: what the unit is, and what two neighbouring data sets are.
std::string unit_sentence(const RunPlan& plan);
std::string neighbouring_sentence(const RunPlan& plan);
// Against whom the numbers hold.
std::string adversary_sentence(const RunPlan& plan);
// The first paragraphs of the page, in plain words.
std::vector<std::string> plain_words(const RunPlan& plan, double largest_epsilon);

// The largest share of right answers that anybody can reach who guesses, from everything that was released, whether a person
// took part, when both cases are equally likely: (e^epsilon + delta) / (1 + e^epsilon), from the region of error rates that
// (epsilon, delta) leaves to any test (Kairouz, Oh, Viswanath 2015, arXiv 1311.0776). 1 when epsilon is infinite.
double best_guess_accuracy(double epsilon, double delta);

// "0.9997" -> "99.97 %", rounded up.
std::string percent(double share);

}  // namespace sotto::audit
