#include "plan/planned_events.h"

#include "base/check.h"
#include "privacy/mechanism/noise.h"

namespace sotto::plan {

using privacy::CorrelationKind;
using privacy::DpEvent;
using privacy::SamplingKind;

StepSampling step_sampling(const RunPlan& plan, const SitePlan& site, std::uint64_t step) {
  StepSampling out;
  DpEvent& event = out.event;
  event.unit = plan.unit;
  event.sampling = plan.step.sampling;
  switch (plan.step.sampling) {
    case SamplingKind::kPoisson: event.sampling_rate = privacy::SamplingRate(site.sampling_rate); break;
    case SamplingKind::kTruncatedPoisson:
      event.sampling_rate = privacy::SamplingRate(site.sampling_rate);
      event.batch_size = plan.step.max_batch;
      event.population = site.declared_size;
      break;
    case SamplingKind::kFixedSize:
      event.batch_size = static_cast<std::uint64_t>(plan.expected_batch);
      event.population = site.declared_size;
      break;
    case SamplingKind::kRandomAllocation:
      event.epoch_steps = epoch_steps(plan, site);
      event.epoch_step = step % event.epoch_steps + 1;
      out.epoch = step / event.epoch_steps;
      break;
    case SamplingKind::kMinSeparation:
      event.min_separation = epoch_steps(plan, site);
      event.run_steps = total_steps(plan);
      event.run_step = step + 1;
      break;
  }
  return out;
}

std::string sampling_words(const RunPlan& plan) {
  switch (plan.step.sampling) {
    case SamplingKind::kPoisson: return "Poisson sampling";
    case SamplingKind::kTruncatedPoisson: return "Poisson sampling cut at " + std::to_string(plan.step.max_batch) + " units";
    case SamplingKind::kFixedSize: return "batches of a fixed size, without replacement";
    case SamplingKind::kRandomAllocation: return "random allocation: each unit in one step of an epoch";
    case SamplingKind::kMinSeparation: return "a fixed order: each unit's steps stand a fixed distance apart";
  }
  throw Failure("a sampling kind outside its enumeration");
}

bool rounds_are_alike(const RunPlan& plan) {
  return plan.step.sampling != SamplingKind::kRandomAllocation && plan.step.sampling != SamplingKind::kMinSeparation;
}

privacy::Correlation correlation_of(const RunPlan& plan) {
  return {plan.step.noise, plan.step.noise == CorrelationKind::kIndependent ? 0 : plan.step.bands, total_steps(plan)};
}

privacy::Grid step_grid(const RunPlan& plan, std::size_t dimension) {
  const privacy::ClipNorm clip(plan.clip_norm);
  const std::size_t all = dimension + plan.step.count_clipped;
  return plan.step.noise == CorrelationKind::kIndependent ? privacy::Grid(clip, all) : privacy::correlated_grid(clip, all);
}

Result<std::vector<DpEvent>> planned_round(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension,
                                           RoundId round) {
  std::vector<DpEvent> out;
  if (!plan.privacy) return out;
  SOTTO_TRY([[maybe_unused]] const auto clip, privacy::ClipNorm::make(plan.clip_norm));
  SOTTO_TRY([[maybe_unused]] const auto rate, privacy::SamplingRate::make(site.sampling_rate));
  SOTTO_TRY(const auto sigma, privacy::NoiseMultiplier::make(site.noise_multiplier));
  if (dimension == 0) return invalid("plan: no trained coordinates");
  const privacy::Grid grid = step_grid(plan, static_cast<std::size_t>(dimension));
  const auto correlation = correlation_of(plan);
  for (std::uint64_t k = 0; k < plan.local_steps; ++k) {
    const auto sampling = step_sampling(plan, site, std::uint64_t{round.value()} * plan.local_steps + k);
    out.push_back(privacy::planned_event(sampling.event, correlation, sigma, grid));
  }
  return merged(out);
}

Result<std::vector<DpEvent>> planned_run(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension) {
  SOTTO_TRY(auto events, planned_round(plan, site, dimension));
  if (plan.privacy && plan.step.sampling == SamplingKind::kMinSeparation) {
    events.front().run_step = 0;
    return std::vector{events.front()};
  }
  if (rounds_are_alike(plan)) {
    for (auto& event : events) event.count *= plan.rounds;
    return events;
  }
  for (std::uint32_t r = 1; r < plan.rounds; ++r) {
    SOTTO_TRY(const auto more, planned_round(plan, site, dimension, RoundId(r)));
    events.insert(events.end(), more.begin(), more.end());
  }
  return events;
}

}  // namespace sotto::plan
