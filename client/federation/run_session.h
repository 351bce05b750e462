// One run at one site, from approval to the tuned adapter. It carries out the actions that the run's Participant returns:
// reserve budget before data is read, train, mask, write the state, then send. What it trains on is in run_data.h, who judges
// the coordinator's adapters in adapter_judge.h, what it writes down in run_record.h and run_passport.h. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "client/federation/adapter_judge.h"
#include "client/federation/run_data.h"
#include "client/federation/run_record.h"
#include "client/site/site_spending.h"
#include "client/training/update.h"
#include "model/inference/language_model.h"

namespace sotto::client {

// Observers for tests that kill a site at a barrier or record what it sends; the program passes none.
struct SiteHooks {
  std::function<void(const wire::ToCoordinator&)> before_send;
  std::function<void(const wire::ToCoordinator&)> after_send;
  std::function<void(RoundId, const std::vector<std::uint32_t>& update)> on_update;  // x_i, before it is masked
  std::function<void(RoundId, const std::vector<SiteIndex>& survivors, const std::vector<std::uint32_t>& sum)> on_sum;
};

// What a session works with; everything outlives it.
struct SiteContext {
  const SiteFolder* folder;
  const SiteConfig* config;
  audit::EventLog* log;
  audit::Ledger* ledger;
  const PatientBook* book;
  RandomSource* random;
  const SiteHooks* hooks;
  std::function<Result<void>(const wire::ToCoordinator&)> send;

  SharedLedger shared() const { return {book, log, ledger}; }
};

class RunSession {
 public:
  // Loads model and data, checks the engine on throw-away state (engine_check.h), and continues from a stored state, if
  // there is one. The log must hold the run's approval.
  static Result<std::unique_ptr<RunSession>> open(const SiteContext& context, Offer offer, SiteIndex site);

  // Handles a message of this run. After an error the site stops: the machine or its operator has to mend the cause.
  Result<void> on(wire::ToSite message);

  bool finished() const { return finished_; }

 private:
  RunSession(const SiteContext& context, Offer offer, SiteIndex site);
  Result<void> prepare();
  Result<void> take_up(const AdapterLayout& layout);
  Result<void> look_for_forgetting(RoundId next_round);
  Result<void> drive(Event event);
  Result<void> carry_out(Action action);
  Result<void> finish(const wire::RunFinished& message);
  Result<void> check_end(const wire::RunFinished& message) const;
  Event train(const Train& action);
  Result<void> reserve(RoundId round);
  Result<void> measure_canaries();
  std::string proofs_folder() const { return context_.folder->run_folder(offer_.plan.run) + "/proofs"; }

  SiteContext context_;
  Offer offer_;
  SiteIndex site_;
  RunRecord record_;
  AdapterJudge judge_;
  std::optional<model::LanguageModel> model_;
  RunData data_;
  std::optional<model::AdapterTrainer> trainer_;
  std::optional<LocalTraining> training_;
  std::optional<Participant> participant_;
  std::optional<AdapterState> adapter_;  // last accepted; nullopt before the first
  std::vector<Event> pending_;
  std::string halted_;     // why this run goes no further; empty while it does
  bool over_ = false;      // its end stands in the log
  bool finished_ = false;  // and the record was sent
};

}  // namespace sotto::client
