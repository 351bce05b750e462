// Whether a model in use still meets what it was trained for: its marks over time, and how far the questions have moved from
// the training data. Both compare windows of consecutive queries and say how sure they are. For the site's own eyes: every
// number is a function of real questions. Pure, with a seed.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "curation/usage_log.h"

namespace sotto::curation {

struct DriftOptions {
  std::size_t window = 200;       // queries
  double confidence = 0.99;       // of each comparison
  std::uint32_t resamples = 200;  // of the training questions, to learn what divergence mere chance gives
  std::uint64_t seed = 1;
};

// {"queries", "windows": [{"from", "to", "queries", "divergence", "divergence_by_chance", "correct": {"share", "low",
// "high", "n"},
//  "good_ratings": {..}, "corrected": {..}}], "signals": [sentences], "retrain": bool}
// divergence: Jensen-Shannon, in bits, between the words of a window's questions and the training questions; by_chance: the
// quantile `confidence` of it for windows of that size drawn from the training questions themselves. Signals: divergence
// above chance in the last window; a share whose interval in the last window lies on the wrong side of the first window's.
// `training` may be empty: then the first window stands for it. The last window holds the rest, at least half a window;
// fewer queries than two windows of which are refused.
Result<Json> usage_report(const std::vector<Use>& uses, const std::vector<std::string>& training,
                          const DriftOptions& options);
std::string usage_text(const Json& report);

}  // namespace sotto::curation
