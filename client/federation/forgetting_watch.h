// Watches, at one site of a run of several, what the model forgets: its loss on general text that the site holds and that
// needs no protection. Raises an alarm when the loss has risen too far above its start, draws a curve into the run's folder,
// and, where the site's operator wants it, ends this site's part. It uses released adapters and public text alone, so it
// charges nothing and sends nothing. One thread.
#pragma once

#include <string>

#include "client/site/site_config.h"
#include "client/training/forgetting_curve.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"

namespace sotto::client {

class ForgettingWatch {
 public:
  // Continues from the points that an earlier process of the run has written. `folder` is the run's at the site.
  static Result<ForgettingWatch> open(const WatchConfig& config, const RunPlan& plan, const data::ChatTemplate& chat,
                                      const std::string& folder);

  // The model as it is after so many rounds: every `every` rounds, at the start and after the last. Writes forgetting.json
  // and, from two points on, forgetting.svg.
  Result<void> look(const model::LanguageModel& model, std::uint32_t rounds);
  bool must_stop() const { return config_.stops && curve_.forgets(); }

 private:
  ForgettingWatch(WatchConfig config, const RunPlan& plan, std::string folder, data::DataSet data)
      : config_(std::move(config)),
        run_(plan.run),
        rounds_(plan.rounds),
        folder_(std::move(folder)),
        data_(std::move(data)),
        curve_(config_.limit) {}
  Result<void> save() const;

  WatchConfig config_;
  RunId run_;
  std::uint32_t rounds_;
  std::string folder_;
  data::DataSet data_;
  ForgettingCurve curve_;  // over rounds
};

}  // namespace sotto::client
