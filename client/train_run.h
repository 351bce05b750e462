// The steps of one site's training by itself, with its ledger and checkpoints. A round of the plan is the ledger's unit:
// reserved on disk before its data is touched, committed with the events that ran. A step's result leaves the process first
// in a checkpoint; steps that a kill undid before that were seen by nobody, and are taken again with fresh samples and noise
// under the same reservation. One thread.
#pragma once

#include <functional>

#include "audit/ledger.h"
#include "client/site_config.h"
#include "client/spend.h"
#include "client/train_checkpoint.h"
#include "client/update.h"
#include "audit/plan_file.h"
#include "audit/plan_json.h"

namespace sotto::client {

// What a run works with; everything outlives it.
struct TrainContext {
  const audit::PlanFile* file;
  const Policy* policy;
  std::string out;
  model::LanguageModel* model;
  model::Trainer* trainer;
  const data::DataSet* data;
  const data::DataSet* validation;  // outside the guarantee; may be empty
  audit::Ledger* ledger;
  const RunKey* run_key;
  const audit::EventLog* log;  // the ledger's
  const PatientBook* book;
};

struct TrainOutcome {
  AdapterState adapter;  // the best by validation loss where early stopping was asked for, else the last
  std::uint64_t steps = 0;
  std::vector<Evaluation> evaluations;
  double epsilon = 0;  // of the run; infinite without privacy
  double seconds = 0;  // over all parts of a run that was interrupted
  bool stopped_early = false;
};

class TrainRun {
 public:
  TrainRun(TrainContext context, RandomSource& random);
  // Goes on from the checkpoint, if there is one. Fails when `stop` said so, over budget, or when a step failed.
  Result<TrainOutcome> go(const std::function<bool()>& stop);

 private:
  Result<void> resume();
  Result<void> check_budget() const;
  Result<void> reserve(RoundId round);
  Result<void> commit(RoundId round);
  Result<void> evaluate();
  Result<void> checkpoint();
  bool out_of_patience() const;

  TrainContext in_;
  RandomSource* random_;
  LocalTraining training_;
  model::Optimizer optimizer_;
  TrainCheckpoint at_;
  double saved_seconds_ = 0;  // time at the last checkpoint
};

Json to_json(const TrainOutcome& outcome, const RunPlan& plan);
std::string text_of(const TrainOutcome& outcome, const RunPlan& plan);

}  // namespace sotto::client
