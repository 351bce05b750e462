// `sotto-client train RUN.toml [--no-privacy]`: one site alone, with the same plan and engine as federated runs. Figures of
// federated or non-private runs are compared with this baseline. Its folder holds
//   adapter/        the tuned adapter, as a PEFT folder with its passport (lineage/passport.h); of full fine-tuning model/,
//                   a Hugging Face folder
//   log             the event log: every round reserved before its data is touched and committed as it ran (the ledger)
//   summary.json    what ran: steps, noise, epsilon, parameters, losses on data outside the guarantee; curve.svg: the losses
//   site-only.json  time, memory, counts: they follow from the true records, no epsilon covers them, and they stay at the site
//   checkpoint      where a killed run goes on; run.key: what dropout and canaries derive from
// It charges the same budget of the site's patients as federated runs (client/site/patient_book.h). The same command
// continues a run that was killed, and changes nothing when the run is finished. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace sotto::client {

// This run belongs to a search (repeat_and_select.h); the search has already reserved its whole cost. The rounds of this run
// are logged and not charged.
struct Covered {
  double epsilon = 0;  // of the search
  double epsilon_with_earlier_runs = 0;
  std::string relation_with_earlier_runs;  // that the latter is about: audit::relation_text
};

struct TrainRequest {
  std::string plan;                           // RUN.toml
  std::string config;                         // site.toml; empty: [train] config of the plan
  std::string out;                            // results; empty: [train] out, else train-<run>
  std::optional<std::int64_t> declared_size;  // none: [train] declared_size
  bool no_privacy = false;
  bool json = false;
  std::string public_text = {};  // JSON lines to train on in place of the site's records; with no_privacy alone
  std::optional<Covered> covered = {};
  bool yes = false;  // the declared size is taken however far it is from the data
};

// `stop` is asked after each step; a stopped run leaves a checkpoint.
Result<void> train(const TrainRequest& request, const std::function<bool()>& stop = {});
// The same without printing; returns summary.json, with site-only.json as its member "for_this_site_alone".
Result<Json> train_once(const TrainRequest& request, const std::function<bool()>& stop = {});

// `sotto-client replay ADAPTER --plan RUN.toml`: trains a model again from its passport's plan and compares the weights.
// Refused for a run with noise. Writes beside the run's folder and removes that again.
struct ReplayRequest {
  std::string adapter;  // PEFT folder
  std::string plan;
  std::string config;
  bool json = false;
};
Result<void> replay(const ReplayRequest& request, const std::function<bool()>& stop = {});

}  // namespace sotto::client
