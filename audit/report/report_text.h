// The report's fixed sentences: what is promised, who is trusted for what, and what is not covered. In one file, so that a
// lawyer and a cryptographer can review them together. Conditions on the plan choose among them; nothing else does.
#pragma once

#include <string>
#include <vector>

#include "plan/run_plan.h"

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
// `accuracy`: of the best guess, at the worst site; finite epsilon or 1.
std::vector<std::string> plain_words(const RunPlan& plan, double largest_epsilon, double accuracy);

// "0.9997" -> "99.97 %", rounded up.
std::string percent(double share);

}  // namespace sotto::audit
