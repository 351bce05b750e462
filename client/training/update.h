// What a site computes in one round of mode `local`: K steps of DP-SGD on its own records, and the change of the adapter
// that results. The types carry the argument: units are drawn (SampledUnits), their gradients clipped and rounded one by one
// (ClippedSum), noised (NoisySum), and only then does the model move; a LocalUpdate holds the events of exactly those sums.
// Everything after a step's noise is post-processing. One thread.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "client/site/site_folder.h"
#include "client/training/public_mix.h"
#include "client/training/unit_streams.h"
#include "crypto/stream_random.h"
#include "data/records/data_set.h"
#include "model/training/adapter_trainer.h"
#include "plan/run_plan.h"
#include "privacy/mechanism/correlation.h"

namespace sotto::client {

class LocalUpdate {
 public:
  LocalUpdate(LocalUpdate&&) noexcept = default;
  LocalUpdate& operator=(LocalUpdate&&) noexcept = default;
  LocalUpdate(const LocalUpdate&) = delete;
  LocalUpdate& operator=(const LocalUpdate&) = delete;

  const std::vector<float>& change() const { return change_; }             // trained numbers after minus before
  const std::vector<privacy::DpEvent>& events() const { return events_; }  // one a step; none without privacy

 private:
  friend class LocalTraining;
  LocalUpdate(std::vector<float> change, std::vector<privacy::DpEvent> events)
      : change_(std::move(change)), events_(std::move(events)) {}
  std::vector<float> change_;
  std::vector<privacy::DpEvent> events_;
};

class LocalTraining {
 public:
  // `training` and `data` must outlive this. `site` is the position in the plan.
  LocalTraining(const RunPlan& plan, SiteIndex site, model::Training& training, const data::DataSet& data,
                const RunKey& key);

  // Whether the declared size allows the plan's sampling of these units; to be asked once, before a run.
  Result<void> check_units() const;

  // One DP-SGD step from where the trainer stands; `step` counts from the start of the run. The event of what ran; none
  // without privacy.
  Result<std::optional<privacy::DpEvent>> step(std::uint64_t step, model::Optimizer& optimizer, RandomSource& random);

  struct RoundStart {
    RoundId round;
    const AdapterState& adapter;
  };
  // From the adapter that the round starts with; `trainer` is the training that was given. `on_step` is told after each
  // step. Moments start anew: the coordinator's re-factoring changes the basis that they were in.
  Result<LocalUpdate> round(model::AdapterTrainer& trainer, const RoundStart& at, RandomSource& random,
                            const std::function<void(std::uint32_t step)>& on_step = {});

  // Public text that is mixed into every step from now on; it outlives this.
  void mix(const PublicMix& mix) { mix_ = &mix; }

  // Logs the noised shares of clipped units of the steps since the last call. To be called when those steps are sure to
  // count: steps that a kill undoes are taken again, and must have told nothing.
  void tell_clipped();

  // Where adaptive clipping stands: to go on from later.
  double threshold() const { return threshold_; }
  void set_threshold(double threshold) { threshold_ = threshold; }

 private:
  struct Clipped {
    double fraction;  // noised
    double threshold;
  };
  model::DropoutStreams dropout(std::uint64_t step) const;
  privacy::SampledUnits draw(std::uint64_t step, RandomSource& random);
  privacy::Clipping clipping() const;
  void note_clipped(double fraction);

  privacy::NoisySum noised(privacy::ClippedSum&& sum, RandomSource& random);

  const RunPlan* plan_;
  const SitePlan* own_;
  model::Training* training_;
  const data::DataSet* data_;
  std::optional<privacy::CorrelatedNoise> correlated_;  // of the run, from its first step on
  const PublicMix* mix_ = nullptr;
  std::vector<Clipped> clipped_;  // not yet told
  double threshold_;              // of clipping; moves where clipping is adaptive
  std::vector<std::uint32_t> records_of_unit_;
  UnitStreams streams_;
};

}  // namespace sotto::client
