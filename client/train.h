// `sotto-client train RUN.toml [--no-privacy]`: one site alone, with the plan's own vocabulary and the engine that federated
// runs use: the baseline that any federated or non-private figure is compared with. Its folder holds
//   adapter/        the tuned adapter, as a PEFT folder; or, of full fine-tuning, model/, a Hugging Face folder
//   log             the event log: every round reserved before its data is touched and committed as it ran (the ledger)
//   summary.json    what ran: steps, noise, epsilon, parameters, losses on data outside the guarantee, time
//   checkpoint      where a killed run goes on; run.key: what dropout and hold-out derive from
// The same command goes on where a killed one stood, and changes nothing where it is done. One thread.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace sotto::client {

struct TrainRequest {
  std::string plan;                // RUN.toml
  std::string config;              // site.toml; empty: [train] config of the plan
  std::string out;                 // results; empty: [train] out, else train-<run>
  std::int64_t declared_size = 0;  // 0: [train] declared_size
  bool no_privacy = false;
  bool json = false;
};

// `stop` is asked after each step; a stopped run leaves a checkpoint.
Result<void> train(const TrainRequest& request, const std::function<bool()>& stop = {});

}  // namespace sotto::client
