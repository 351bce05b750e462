// What a site watches while a run of several sites goes on: the loss of the model on general text that the site holds, which
// nobody's privacy depends on. An alarm where it has risen too far above its start, a curve in the run's folder, and, where
// the site's operator wants it, an end of this site's part. Released adapters and public text alone: nothing is charged,
// nothing is sent. One thread.
#pragma once

#include <string>
#include <vector>

#include "client/site/site_config.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"

namespace sotto::client {

class ForgettingWatch {
 public:
  // Takes up what an earlier part of the run has seen. `folder` is the run's at the site.
  static Result<ForgettingWatch> open(const WatchConfig& config, const RunPlan& plan, const data::ChatTemplate& chat,
                                      const std::string& folder);

  // The model as it is after so many rounds: every `every` rounds, at the start and after the last. Writes forgetting.json
  // and, from two points on, forgetting.svg.
  Result<void> look(const model::LanguageModel& model, std::uint32_t rounds);
  bool must_stop() const { return config_.stops && forgets(); }
  double risen_by() const;  // of the newest point over the first; 0 without points

 private:
  ForgettingWatch(WatchConfig config, const RunPlan& plan, std::string folder, data::DataSet data)
      : config_(std::move(config)),
        run_(plan.run),
        rounds_(plan.rounds),
        folder_(std::move(folder)),
        data_(std::move(data)) {}
  bool forgets() const { return risen_by() > config_.limit; }
  Result<void> save() const;

  struct Point {
    std::uint32_t rounds = 0;
    double loss = 0;  // nats a token
  };
  WatchConfig config_;
  RunId run_;
  std::uint32_t rounds_;
  std::string folder_;
  data::DataSet data_;
  std::vector<Point> points_;
};

}  // namespace sotto::client
