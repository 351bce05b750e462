// A search that costs what its best run tells, and not what all its runs would: their number is random, nothing but the best
// is kept, and the whole is one reservation (Papernot, Steinke 2022; docs/privacy.md, 5.1). What is decided here is decided
// from declared numbers, before a record is read.
#pragma once

#include "client/search/trial_runner.h"
#include "privacy/mechanism/event.h"

namespace sotto::client {

// Epsilons at the plan's delta, of the search alone and with all that the budget had spent before.
struct SearchCost {
  std::vector<privacy::DpEvent> events;  // of the selection: what one run may be, as its settings are drawn
  double selection = 0, selection_with_earlier = 0;
  std::string relation_with_earlier;               // audit::relation_text
  double composed = 0, composed_with_earlier = 0;  // of `trials` runs of the dearest settings, each released
};
// Refused by name: a setting drawn from a range that changes what a run costs, more than 64 different costs, a sampler or
// part trained whose rounds are not alike, planted canaries.
Result<SearchCost> cost_of(const TrialRunner& tuner);

struct Selected {
  Trial best;            // in OUT/best
  std::string settings;  // the plan with them
};
// Reserves, draws how many runs there are and each one's settings from the system's generator, keeps the best run's folder,
// and commits what ran. Killed or failed it stays charged; begun again it is charged anew.
Result<Selected> select_best(TrialRunner& tuner, const SearchCost& cost, const std::function<bool()>& stop);

}  // namespace sotto::client
