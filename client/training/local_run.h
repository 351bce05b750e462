// The steps of one site's training by itself, with its ledger and checkpoints. A round of the plan is the ledger's unit:
// reserved on disk before its data is touched, committed with the events that ran. A step's result first leaves the process
// in a checkpoint. Nobody saw the steps that a kill undid before that, so they are taken again, with fresh samples and
// noise, under the same reservation. One thread.
#pragma once

#include <functional>

#include "audit/ledger/ledger.h"
#include "client/site/site_spending.h"
#include "client/training/local_checkpoint.h"
#include "client/training/local_setup.h"
#include "client/training/update.h"
#include "crypto/stream_random.h"
#include "model/training/process_group.h"

namespace sotto::client {

// What a run works with; everything must outlive it.
struct LocalContext {
  const LocalSetup* setup;
  model::LanguageModel* model;
  model::Training* training;
  const TrainData* data;
  const PublicMix* mix;  // nullptr: none
  audit::Ledger* ledger;
  const audit::EventLog* log;  // that the ledger writes
  const PatientBook* book;
  const RunKey* run_key;
  model::ProcessGroup* group = nullptr;  // of several processes; none: this one alone
};

struct LocalOutcome {
  std::vector<float>
      state;  // of the training: the best by validation loss where early stopping was asked for, else the last
  std::uint64_t steps = 0;
  std::vector<Evaluation> evaluations;
  double epsilon = 0;                    // of the run; infinite without privacy
  std::string relation;                  // that it is about: audit::relation_text
  double epsilon_with_earlier_runs = 0;  // .. and of everything else that the budget had spent
  std::string relation_with_earlier_runs;
  double seconds = 0;  // that the steps took, over all parts of a run that was interrupted
  bool stopped_early = false;
  bool forgetting = false;  // the watched text got worse than the limit allows
};

class LocalRun {
 public:
  LocalRun(LocalContext context, RandomSource& random);
  // Continues from the checkpoint, if there is one. Fails when `stop` said so, over budget, or when a step failed.
  Result<LocalOutcome> go(const std::function<bool()>& stop);
  // For processes other than the first: compute their part of each step that the first process begins, until that one has
  // ended. They write nothing.
  Result<void> serve();

 private:
  crypto::StreamKey draws_without_privacy() const;
  Result<std::optional<privacy::DpEvent>> next_step();
  Result<void> resume();
  Result<void> check_budget();
  Result<void> reserve(RoundId round);
  Result<void> commit(RoundId round);
  Result<void> evaluate();
  Result<void> check_told() const;
  Result<void> tell();
  void say();
  Result<void> checkpoint();
  Error ran_away(const std::string& what) const;
  RoundId round() const;  // of the next step
  void begin(RoundId round);
  LocalOutcome outcome(bool stopped) const;
  bool out_of_patience() const;
  bool forgets(const Evaluation& evaluation) const;
  bool must_stop() const;
  const audit::PlanFile& file() const { return in_.setup->file; }
  // Whether the site's budget pays: without privacy there is nothing to pay for, and a search has paid for its runs.
  bool is_charged() const { return file().plan.privacy && !in_.setup->covered; }
  SharedLedger shared() const { return {in_.book, in_.log, in_.ledger}; }

  LocalContext in_;
  std::string budget_;
  RandomSource* random_;
  LocalTraining training_;
  model::Optimizer optimizer_;
  LocalPosition at_;
  double saved_seconds_ = 0;  // time at the last checkpoint
};

Json evaluations_json(const std::vector<Evaluation>& evaluations);
Json to_json(const LocalOutcome& outcome, const RunPlan& plan);
std::string text_of(const LocalOutcome& outcome, const RunPlan& plan);

}  // namespace sotto::client
