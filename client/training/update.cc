#include "client/training/update.h"

#include "base/log.h"
#include "model/adapter/lora.h"
#include "plan/planned_events.h"
#include "privacy/mechanism/noise.h"

namespace sotto::client {

LocalTraining::LocalTraining(const RunPlan& plan, SiteIndex site, model::Training& training, const data::DataSet& data,
                             const RunKey& key)
    : plan_(&plan),
      own_(&plan.sites.at(site.value())),
      training_(&training),
      data_(&data),
      threshold_(plan.clip_norm),
      streams_(key, plan.run, data, plan.unit) {
  for (const auto& unit : data.units) records_of_unit_.push_back(static_cast<std::uint32_t>(unit.examples.size()));
}

model::DropoutStreams LocalTraining::dropout(std::uint64_t step) const {
  if (plan_->lora.dropout == 0) return {};
  return [this, step](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) -> std::unique_ptr<RandomSource> {
    return std::make_unique<crypto::StreamRandom>(streams_.dropout(step, unit, record, layer));
  };
}

privacy::SampledUnits LocalTraining::draw(std::uint64_t step, RandomSource& random) {
  const auto sampling = plan::step_sampling(*plan_, *own_, step);
  return privacy::SampledUnits::draw(sampling.event, {plan_->unit, records_of_unit_, plan_->max_records},
                                     streams_.slots_in(sampling.epoch), random);
}

privacy::Clipping LocalTraining::clipping() const {
  const auto kind = plan_->step.clipping;
  const bool per_layer = kind == privacy::ClippingKind::kPerLayer;
  return {kind, threshold_, per_layer ? training_->layer_groups() : std::vector<std::size_t>(), plan_->step.count_clipped};
}

Result<void> LocalTraining::check_units() const {
  return privacy::check_population(plan::step_sampling(*plan_, *own_, 0).event, records_of_unit_.size());
}

Result<std::optional<privacy::DpEvent>> LocalTraining::step(std::uint64_t step, model::Optimizer& optimizer,
                                                            RandomSource& random) {
  const RunPlan& plan = *plan_;
  const privacy::ExpectedBatch batch(privacy::SamplingRate(own_->sampling_rate), own_->declared_size);
  const double lr = model::learning_rate(plan.optimizer, step, total_steps(plan));
  auto units = draw(step, random);
  if (!plan.privacy) {
    SOTTO_TRY(privacy::UnclippedSum sum, training_->unclipped_sum(*data_, std::move(units), dropout(step)));
    if (sum.lost_every_unit())
      return invalid("step " + std::to_string(step) +
                     ": no record has a finite gradient, so the model's numbers are not finite or have run away; "
                     "check the model's files, or lower optimizer.learning_rate");
    std::vector<float> mean = privacy::NonPrivateSum(std::move(sum)).mean(batch);
    if (mix_) SOTTO_TRY_VOID(mix_->mix_into(mean, step, *training_));
    if (plan.optimizer.max_grad_norm > 0) model::clip_global_norm(mean, plan.optimizer.max_grad_norm);
    training_->step(optimizer, mean, lr);
    return std::optional<privacy::DpEvent>();
  }
  const privacy::Grid grid = plan::step_grid(plan, training_->dimension());
  SOTTO_TRY(privacy::ClippedSum sum, training_->clipped_sum(*data_, std::move(units), {grid, clipping()}, dropout(step)));
  const privacy::NoisySum noisy = noised(std::move(sum), random);
  std::vector<float> mean = noisy.mean(batch);
  if (mix_) SOTTO_TRY_VOID(mix_->mix_into(mean, step, *training_));
  training_->step(optimizer, mean, lr);
  if (plan.step.count_clipped) note_clipped(noisy.clip_fraction(batch));
  return std::optional(noisy.event());
}

privacy::NoisySum LocalTraining::noised(privacy::ClippedSum&& sum, RandomSource& random) {
  const privacy::NoiseMultiplier sigma(own_->noise_multiplier);
  crypto::StreamRandom noise(crypto::StreamKey::random(random));  // one key a step: 16 bytes of keystream a coordinate
  const auto correlation = plan::correlation_of(*plan_);
  if (correlation.kind == privacy::CorrelationKind::kIndependent) return privacy::add_noise(std::move(sum), sigma, noise);
  if (!correlated_) correlated_.emplace(correlation, sum.dimension());
  return correlated_->add_noise(std::move(sum), sigma, noise);
}

void LocalTraining::note_clipped(double fraction) {
  clipped_.push_back({fraction, threshold_});
  if (plan_->step.clipping == privacy::ClippingKind::kAdaptive)
    threshold_ = privacy::next_threshold(threshold_, fraction, plan_->step.clip_quantile, plan_->clip_norm);
}

// The noised share is post-processing of the step's release.
void LocalTraining::tell_clipped() {
  for (const auto& [fraction, threshold] : clipped_)
    log(Level::kInfo, "clipped", {{"run", plan_->run.value()}, {"noised_fraction", fraction}, {"threshold", threshold}});
  clipped_.clear();
}

Result<LocalUpdate> LocalTraining::round(model::AdapterTrainer& trainer, const RoundStart& at, RandomSource& random,
                                         const std::function<void(std::uint32_t)>& on_step) {
  const RunPlan& plan = *plan_;
  SOTTO_CHECK(&trainer == training_);
  trainer.begin_round(at.round);
  SOTTO_TRY_VOID(trainer.set_adapter(at.adapter));
  model::Optimizer optimizer(plan.optimizer, trainer.dimension());
  const std::vector<float> before = model::trained_vector(at.adapter, trainer.trained_part());
  std::vector<privacy::DpEvent> events;
  clipped_.clear();  // of a round that failed
  for (std::uint32_t k = 0; k < plan.local_steps; ++k) {
    SOTTO_TRY(const auto event, step(std::uint64_t{at.round.value()} * plan.local_steps + k, optimizer, random));
    if (event) events.push_back(*event);
    if (on_step) on_step(k);
  }
  std::vector<float> change = model::trained_vector(trainer.adapter().lora, trainer.trained_part());
  for (std::size_t i = 0; i < change.size(); ++i) change[i] -= before[i];
  return LocalUpdate(std::move(change), std::move(events));
}

}  // namespace sotto::client
