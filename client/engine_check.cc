#include "client/engine_check.h"

#include <cmath>

#include "base/log.h"
#include "model/lora.h"
#include "model/self_check.h"
#include "privacy/noise.h"

namespace sotto::client {
namespace {

// Does the noise that this build draws have the spread that its event states? On a sum over nobody, so that what comes out is
// noise alone. The empirical deviation of n draws strays by 1 / sqrt(2 n), here 0.55 %; a stray of 4 % happens by chance with a
// probability below 1e-12.
Result<void> check_noise(const RunPlan& plan, const SitePlan& own, RandomSource& random) {
  constexpr std::size_t kDraws = 16384;
  constexpr double kTolerance = 0.04;
  const privacy::Grid grid(privacy::ClipNorm(plan.clip_norm), kDraws);
  auto nobody = privacy::SampledUnits::draw(privacy::Unit::kPatient, {}, privacy::SamplingRate(own.sampling_rate), 1, random);
  privacy::ClippedSum zero = privacy::GridAccumulator(std::move(nobody), grid).finish();
  const auto noise = privacy::add_noise(std::move(zero), privacy::NoiseMultiplier(own.noise_multiplier), random);
  double squares = 0;
  for (const auto v : noise.values()) squares += static_cast<double>(v) * static_cast<double>(v);
  const double ratio = std::sqrt(squares / kDraws) / static_cast<double>(noise.event().noise_stddev);
  if (std::abs(ratio - 1) <= kTolerance) return {};
  return refused("the noise that this machine draws has " + std::to_string(ratio) + " times the stated deviation; nothing was trained. Rebuild, and run 'make test'");
}

}  // namespace

Result<void> check_engine(const RunPlan& plan, const SitePlan& own, model::LanguageModel& model, RandomSource& random) {
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
