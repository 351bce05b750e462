// DP-SGD's model side: per-unit gradients of a LoRA adapter in one backward pass, and steps on its trained numbers.
// A unit's gradient is the sum over its drawn records of the gradient of that record's loss (the mean over its response
// tokens). It depends on the unit's records, the adapter and the dropout streams alone, bit for bit: not on the other units,
// on where they stand, or on the number of threads (language_model.h says how; tests/model compares). Each unit's gradient
// goes to a privacy::UnitSink, which clips and rounds it on its own; no other sum is formed. Training without privacy takes
// the same path into another sink. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/random.h"
#include "data/records/data_set.h"
#include "model/inference/language_model.h"
#include "model/training/training.h"
#include "plan/run_plan.h"
#include "privacy/mechanism/noise.h"

namespace sotto::model {

class AdapterTrainer final : public Training {
 public:
  // `model` must outlive the trainer; its adapter becomes the trainer's. `start` has the layout that lora_layout() gives.
  // dropout is the probability that an input of A is dropped, in training only. DoRA's magnitudes are trained beside the
  // factors, without privacy alone (docs/adapters.md). Where `trained` alternates, round 0 is begun. Refused: parameters
  // replaced as a whole.
  static Result<AdapterTrainer> make(LanguageModel& model, const Adapter& start, TrainedPart trained, double dropout = 0);
  AdapterTrainer(AdapterTrainer&&) noexcept;
  AdapterTrainer& operator=(AdapterTrainer&&) noexcept;
  ~AdapterTrainer() override;

  const AdapterLayout& layout() const;
  TrainedPart trained_part() const;  // of the round at hand

  // The adapter as it stands; and another one of the same layout in its place (between rounds).
  const Adapter& adapter() const;
  Result<void> set_adapter(const Adapter& adapter);

  // Training's. Layers are groups of per-layer clipping; dropout is asked for where its probability is above 0.
  std::size_t dimension() const override;
  std::size_t dimension_in(RoundId round) const override;
  void begin_round(RoundId round) override;
  std::vector<std::size_t> layer_groups() const override;
  Result<void> check(const data::DataSet& data) const override;
  Result<BatchLoss> add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                  const DropoutStreams& dropout = {}) override;
  void step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) override;
  std::vector<float> state() const override;  // A and B of each module; or the prompt
  Result<void> set_state(std::span<const float> state) override;
  Result<void> may_be_private() const override;  // not DoRA

 private:
  struct State;
  explicit AdapterTrainer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
