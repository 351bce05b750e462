#include "client/training/update.h"

#include "audit/ledger/spending.h"
#include "base/log.h"
#include "model/adapter/lora.h"
#include "privacy/mechanism/noise.h"

namespace sotto::client {
namespace {

privacy::Unit unit_of(PrivacyUnit unit) {
  return unit == PrivacyUnit::kPatient ? privacy::Unit::kPatient : privacy::Unit::kRecord;
}

}  // namespace

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
  const RunPlan& plan = *plan_;
  const privacy::Population from{unit_of(plan.unit), records_of_unit_, plan.max_records};
  const privacy::SamplingRate rate(own_->sampling_rate);
  switch (plan.step.sampling) {
    case SamplingScheme::kPoisson: break;
    case SamplingScheme::kTruncatedPoisson:
      return privacy::SampledUnits::draw_truncated(from, {rate, plan.step.max_batch, own_->declared_size}, random);
    case SamplingScheme::kFixedSize:
      return privacy::SampledUnits::draw_fixed_size(from, static_cast<std::uint64_t>(plan.expected_batch), random);
    case SamplingScheme::kMinSeparation: {
      const std::uint64_t all = std::uint64_t{plan.rounds} * plan.local_steps;
      return privacy::SampledUnits::draw_separated(from, {epoch_steps(plan, *own_), all, step + 1}, streams_.slots_in(0),
                                                   random);
    }
    case SamplingScheme::kRandomAllocation: {
      const std::uint64_t steps = epoch_steps(plan, *own_);
      return privacy::SampledUnits::draw_allocated(from, {steps, step % steps + 1}, streams_.slots_in(step / steps), random);
    }
  }
  return privacy::SampledUnits::draw(from.unit, from.records_of_unit, rate, from.max_records, random);
}

privacy::Clipping LocalTraining::clipping() const {
  privacy::Clipping clipping{privacy::ClippingKind::kFlat, threshold_, {}, plan_->step.count_clipped};
  switch (plan_->step.clipping) {
    case ClippingScheme::kFlat: break;
    case ClippingScheme::kAutomatic: clipping.kind = privacy::ClippingKind::kAutomatic; break;
    case ClippingScheme::kAdaptive: clipping.kind = privacy::ClippingKind::kAdaptive; break;
    case ClippingScheme::kPerLayer:
      clipping.kind = privacy::ClippingKind::kPerLayer;
      clipping.groups = training_->layer_groups();
      break;
  }
  return clipping;
}

Result<void> LocalTraining::check_units() const {
  const std::size_t units = records_of_unit_.size();
  const auto& site = *own_;
  const std::string counts =
      "the data hold " + std::to_string(units) + " units and the declared size is " + std::to_string(site.declared_size);
  if (plan_->step.sampling == SamplingScheme::kTruncatedPoisson && units > site.declared_size)
    return refused(counts +
                   ": truncated Poisson sampling is accounted for at most as many; declare a size at or above the true one");
  if (plan_->step.sampling == SamplingScheme::kFixedSize && units != site.declared_size)
    return refused(counts +
                   ": batches of a fixed size are accounted for exactly as many; declare the true size, or use \"poisson\"");
  return {};
}

Result<std::optional<privacy::DpEvent>> LocalTraining::step(std::uint64_t step, model::Optimizer& optimizer,
                                                            RandomSource& random) {
  const RunPlan& plan = *plan_;
  const privacy::ExpectedBatch batch(privacy::SamplingRate(own_->sampling_rate), own_->declared_size);
  const double lr = model::learning_rate(plan.optimizer, step, std::uint64_t{plan.rounds} * plan.local_steps);
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
  const privacy::Grid grid = audit::step_grid(plan, training_->dimension());
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
  const auto correlation = audit::correlation_of(*plan_);
  if (correlation.kind == privacy::CorrelationKind::kNone) return privacy::add_noise(std::move(sum), sigma, noise);
  if (!correlated_) correlated_.emplace(correlation, sum.dimension());
  return correlated_->add_noise(std::move(sum), sigma, noise);
}

void LocalTraining::note_clipped(double fraction) {
  clipped_.push_back({fraction, threshold_});
  if (plan_->step.clipping == ClippingScheme::kAdaptive)
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
