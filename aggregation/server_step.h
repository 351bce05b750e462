// From the mean update of a round to the next adapter: the step that the coordinator takes and every site takes again, to
// judge the bytes that the coordinator published. FedAvg: parameters += learning_rate * mean update, then FedSVD if asked.
// With A the same at all sites, averaging B is averaging the product: mean(B_i) A = mean(B_i A). Pure functions, any thread.
#pragma once

#include <span>

#include "base/adapter.h"

namespace sotto::aggregation {

// What of an adapter a round's mean update moves, and whether it is factored anew: where B alone is trained in all rounds.
struct ServerStep {
  TrainedPart trained = TrainedPart::kB;
  double learning_rate = 1.0;
  bool fedsvd = true;
};

ServerStep step_in_round(TrainedPart trained, RoundId round);

// mean_update has layout.trained_size(trained) entries in AdapterLayout's order. Fails (kInvalid) on another size, on
// entries that are not finite, and where refactor fails.
Result<AdapterState> server_step(const AdapterState& current, std::span<const float> mean_update, const ServerStep& step);

// Whether published bytes are the step that this site computed itself, up to rounding: same layout, product within
// `tolerance` relative, the same row space of every A, and A as near to orthonormal as the site's own, within `tolerance`.
// The error (kProtocol) names the measure that failed. Numbers that are not finite fail.
Result<void> adapters_agree(const AdapterState& expected, const AdapterState& published, double tolerance = 1e-4);

}  // namespace sotto::aggregation
