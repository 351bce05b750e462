// A search that is charged for its best run alone, and not for all its runs: the number of runs is random, only the best is
// kept, and the whole is one reservation (Papernot, Steinke 2022; docs/privacy.md, 5.1). All decisions here follow from
// declared numbers, before a record is read.
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
// Reserves, draws the number of runs and the settings of each from the system's generator, keeps the folder of the best run,
// and commits what ran. A search that is killed or fails stays charged; a new attempt is charged again.
Result<Selected> select_best(TrialRunner& tuner, const SearchCost& cost, const std::function<bool()>& stop);

}  // namespace sotto::client
