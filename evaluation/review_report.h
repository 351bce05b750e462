// What the raters of a review said: win rate with interval, scores per dimension with a paired test, agreement between
// raters, and where they disagree. Here the models have their names again. Pure functions.
#pragma once

#include "evaluation/review.h"

namespace sotto::evaluation {

// {"title", "models", "weights", "items", "raters": [{"name", "rated", "seconds_median", "win_rate"}],
//  "preference": {"first", "ties", "second", "win_rate", "wilson": [low, high], "by_item": [low, high], "left_share"},
//  "agreement": {"preference": {..}, DIMENSION: {..}}, "dimensions": {..}, "disagreements": [..]}
// win_rate: of models[1], ties count half. wilson takes all judgements as independent; by_item (bootstrap) does not, and is
// the one to trust when there are several raters. Agreement: {"cohen": [{"raters", "items", "kappa"}], "fleiss": {"items",
// "kappa"}, "alpha_nominal", "alpha_ordinal", "alpha_interval"}; NaN where nothing can be said.
Json review_json(const ReviewSet& set, const std::vector<Sheet>& sheets);
std::string review_text(const Json& report);

}  // namespace sotto::evaluation
