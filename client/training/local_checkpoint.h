// The checkpoint of a site that trains alone: all that a killed run needs to continue. Everything in it follows from noised
// sums and from data outside the guarantee, so it may be as public as the resulting adapter. It is written to a new file and
// renamed. Reading it back needs the same plan, and its digest must fit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "client/training/evaluation.h"
#include "model/training/optimizer.h"
#include "privacy/mechanism/event.h"

namespace sotto::client {

// What a run itself keeps.
struct LocalPosition {
  Digest plan{};                         // of the plan and recipe that it belongs to
  std::uint64_t steps = 0;               // taken
  std::vector<privacy::DpEvent> events;  // of the steps of the round that is under way
  std::vector<Evaluation> evaluations;
  std::optional<std::vector<float>> best;    // the state at the best evaluation
  std::optional<std::vector<float>> within;  // .. at the last one within the limit of forgetting
  double threshold = 0;                      // of clipping
  double seconds = 0;                        // that steps have taken so far
};

// .. and what is read back beside it.
struct LocalCheckpoint {
  LocalPosition at;
  std::vector<float> state;  // of the training (model/training/training.h)
  model::OptimizerState optimizer;
};

// Of a whole model all this is several times its size: it goes to the file piece by piece, never copied.
Result<void> save_checkpoint(const std::string& path, const LocalPosition& at, std::span<const float> state,
                             const model::OptimizerState& optimizer);
// nullopt when there is no file. Refused, by file and cause: damage, or another plan's.
Result<std::optional<LocalCheckpoint>> load_checkpoint(const std::string& path, const Digest& plan);

}  // namespace sotto::client
