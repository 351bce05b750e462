// Full fine-tuning, private and not: every parameter of the model is trained (linear layers, embedding, norms, biases; a
// tied head is one matrix with the embedding). Each unit's gradient is formed one parameter at a time, clipped by its norm
// over all of them, rounded and summed as integers before the next (privacy::GradientPieces), so that beside the sum of the
// step no more than one parameter's gradient is held. For one site alone. One thread at a time.
#pragma once

#include "model/inference/language_model.h"
#include "model/training/training.h"

namespace sotto::model {

class FullTrainer final : public Training {
 public:
  // `model` must outlive the trainer, and is what is trained: an adapter on it is taken off. The numbers that move are kept
  // in fp32 beside it (4 bytes each), whatever the model's precision. Not of a quantised base, nor of layers on several
  // devices (broken invariants).
  explicit FullTrainer(LanguageModel& model);
  FullTrainer(FullTrainer&&) noexcept;
  FullTrainer& operator=(FullTrainer&&) noexcept;
  ~FullTrainer() override;

  std::size_t dimension() const override;
  std::vector<std::size_t> layer_groups() const override;
  Result<void> check(const data::DataSet& data) const override;
  // A unit's records stand in one pass, whatever their number. There is no dropout.
  Result<BatchLoss> add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                  const DropoutStreams& dropout = {}) override;
  void step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) override;
  std::vector<float> state() const override;
  Result<void> set_state(std::span<const float> state) override;

  // The model as it stands, as parameters in the place of the base's: what a merged folder is written from.
  Adapter parameters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
