#include "client/update.h"

#include "crypto/kdf.h"
#include "crypto/stream_random.h"
#include "model/lora.h"
#include "privacy/noise.h"

namespace sotto::client {
namespace {

privacy::Unit unit_of(PrivacyUnit unit) {
  return unit == PrivacyUnit::kPatient ? privacy::Unit::kPatient : privacy::Unit::kRecord;
}

}  // namespace

LocalTraining::LocalTraining(const RunPlan& plan, SiteIndex site, model::Trainer& trainer, const data::DataSet& data, const RunKey& key)
    : plan_(&plan), own_(&plan.sites.at(site.value())), trainer_(&trainer), data_(&data), key_(&key) {
  for (const auto& unit : data.units) records_of_unit_.push_back(static_cast<std::uint32_t>(unit.examples.size()));
}

// PRF(secret run key; run, step, unit, record, layer): a record's dropout masks depend on nothing that another patient changes.
model::DropoutStreams LocalTraining::dropout(std::uint64_t step) const {
  if (plan_->lora.dropout == 0) return {};
  return [this, step](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) -> std::unique_ptr<RandomSource> {
    ByteWriter info;
    info.text("sotto/dropout/v1").text(plan_->run.value()).u64(step).u32(unit).u32(record).u32(layer);
    return std::make_unique<crypto::StreamRandom>(crypto::StreamKey(crypto::hkdf_sha256<32>({}, key_->reveal(), info.view())));
  };
}

Result<LocalUpdate> LocalTraining::round(RoundId round, const AdapterState& start, RandomSource& random,
                                         const std::function<void(std::uint32_t)>& on_step) {
  const RunPlan& plan = *plan_;
  SOTTO_TRY_VOID(trainer_->set_adapter(start));
  model::Optimizer optimizer(plan.optimizer, trainer_->dimension());
  const privacy::Grid grid(privacy::ClipNorm(plan.clip_norm), trainer_->dimension());
  const privacy::SamplingRate rate(own_->sampling_rate);
  const privacy::ExpectedBatch batch(rate, own_->declared_size);
  const std::uint64_t total_steps = std::uint64_t{plan.rounds} * plan.local_steps;
  const std::vector<float> before = model::trained_vector(start, plan.trained);
  std::vector<privacy::DpEvent> events;

  for (std::uint32_t k = 0; k < plan.local_steps; ++k) {
    const std::uint64_t step = std::uint64_t{round.value()} * plan.local_steps + k;
    auto units = privacy::SampledUnits::draw(unit_of(plan.unit), records_of_unit_, rate, plan.max_records, random);
    std::vector<float> mean;
    if (plan.privacy) {
      SOTTO_TRY(privacy::ClippedSum sum, trainer_->clipped_sum(*data_, std::move(units), grid, dropout(step)));
      const privacy::NoisySum noisy = privacy::add_noise(std::move(sum), privacy::NoiseMultiplier(own_->noise_multiplier), random);
      events.push_back(noisy.event());
      mean = noisy.mean(batch);
    } else {
      SOTTO_TRY(privacy::UnclippedSum sum, trainer_->unclipped_sum(*data_, std::move(units), dropout(step)));
      mean = privacy::NonPrivateSum(std::move(sum)).mean(batch);
      if (plan.optimizer.max_grad_norm > 0) model::clip_global_norm(mean, plan.optimizer.max_grad_norm);
    }
    trainer_->step(optimizer, mean, model::learning_rate(plan.optimizer, step, total_steps));
    if (on_step) on_step(k);
  }

  std::vector<float> change = model::trained_vector(trainer_->adapter(), plan.trained);
  for (std::size_t i = 0; i < change.size(); ++i) change[i] -= before[i];
  return LocalUpdate(std::move(change), std::move(events));
}

}  // namespace sotto::client
