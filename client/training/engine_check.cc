#include "client/training/engine_check.h"

#include <cmath>

#include "base/log.h"
#include "model/adapter/lora.h"
#include "model/training/self_check.h"
#include "plan/planned_events.h"
#include "privacy/mechanism/correlation.h"
#include "privacy/mechanism/noise.h"

namespace sotto::client {
namespace {

constexpr std::size_t kDraws = 16384;

// What a step of the run adds to a sum over nobody. Of correlated noise the first step's, which is a fresh draw.
privacy::NoisySum noise_of(const RunPlan& plan, const SitePlan& own, RandomSource& random) {
  const privacy::ClipNorm clip(plan.clip_norm);
  const privacy::NoiseMultiplier sigma(own.noise_multiplier);
  const auto correlation = plan::correlation_of(plan);
  if (correlation.kind == privacy::CorrelationKind::kIndependent) {
    auto nobody =
        privacy::SampledUnits::draw(privacy::Unit::kPatient, {}, privacy::SamplingRate(own.sampling_rate), 1, random);
    return privacy::add_noise(privacy::GridAccumulator(std::move(nobody), privacy::Grid(clip, kDraws)).finish(), sigma,
                              random);
  }
  auto nobody = privacy::SampledUnits::draw_separated({}, {epoch_steps(plan, own), correlation.steps, 1}, {}, random);
  auto zero = privacy::GridAccumulator(std::move(nobody), privacy::correlated_grid(clip, kDraws)).finish();
  return privacy::CorrelatedNoise(correlation, kDraws).add_noise(std::move(zero), sigma, random);
}

// Does the noise that this build draws have the spread that its event states? The empirical deviation of n draws strays by
// 1 / sqrt(2 n), here 0.55 %; a stray of 4 % happens by chance with a probability below 1e-12.
Result<void> check_noise(const RunPlan& plan, const SitePlan& own, RandomSource& random) {
  constexpr double kTolerance = 0.04;
  const auto noise = noise_of(plan, own, random);
  double squares = 0;
  for (const auto v : noise.values()) squares += static_cast<double>(v) * static_cast<double>(v);
  const double ratio = std::sqrt(squares / kDraws) / static_cast<double>(noise.event().noise_stddev);
  if (std::abs(ratio - 1) <= kTolerance) return {};
  return refused("the noise that this machine draws has " + std::to_string(ratio) +
                 " times the stated deviation; nothing was trained. Rebuild, and run 'make test'");
}

// By the plan and the model alone: a run that stopped at a record would tell that somebody has one so long.
Result<void> check_length(const RunPlan& plan, const model::ModelConfig& config) {
  const std::uint64_t prompt = plan.trained == TrainedPart::kPrompt ? plan.prompt.tokens : 0;
  if (plan.max_tokens + prompt <= config.max_positions) return {};
  return invalid("training.max_tokens = " + std::to_string(plan.max_tokens) +
                 (prompt > 0 ? " and prompt.tokens = " + std::to_string(prompt) : "") + (prompt > 0 ? " are" : " is") +
                 " more than the " + std::to_string(config.max_positions) +
                 " tokens that this model takes; lower training.max_tokens");
}

}  // namespace

Result<void> check_engine(const RunPlan& plan, const SitePlan& own, model::LanguageModel& model, RandomSource& random) {
  SOTTO_TRY_VOID(check_length(plan, model.config()));
  if (!plan.privacy) return {};
  SOTTO_TRY_VOID(check_noise(plan, own, random));
  const privacy::ClipNorm clip(plan.clip_norm);
  if (plan.trained == TrainedPart::kFull) {
    SOTTO_TRY(const auto report, model::self_check_full(model, clip, random));
    log(Level::kInfo, "self_check", {{"run", plan.run.value()}, {"result", report.text()}});
    return {};
  }
  SOTTO_TRY(const auto layout, model::adapter_layout(model.config(), plan));
  const auto part = plan.trained == TrainedPart::kAlternating ? TrainedPart::kAB : plan.trained;  // both factors at once
  SOTTO_TRY(const auto report, model::self_check(model, layout, part, clip, random));
  log(Level::kInfo, "self_check", {{"run", plan.run.value()}, {"result", report.text()}});
  return {};
}

}  // namespace sotto::client
