#include <cmath>
#include <cstdint>
#include <limits>
#include <map>

#include "audit/plan_file.h"
#include "audit/spending.h"
#include "base/json.h"
#include "privacy/calibrate.h"
#include "privacy/compose.h"
#include "privacy/rdp.h"

namespace sotto::audit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A run in which units are kept apart is one release: its noise by halving on the ledger's own arithmetic.
Result<void> set_noise_of_run(const PlanFile& file, RunPlan& plan) {
  // Covers the certificate of the true dimension, and the width of a bracket that is computed anew from other parts.
  const double margin = file.epsilon ? std::max(1e-3, 2e-3 * *file.epsilon) : 0;
  const privacy::Delta delta(plan.delta);
  for (auto& site : plan.sites) {
    const auto spent = [&](double sigma) {
      site.noise_multiplier = sigma;
      const auto run = planned_run(plan, site, 1);
      const auto bound = run.ok() ? privacy::proven_epsilon(*run, delta) : Result<privacy::ProvenEpsilon>(run.error());
      return bound.ok() ? bound->upper() : kInfinity;
    };
    if (!file.epsilon) {
      plan.target_epsilon = std::max(plan.target_epsilon, spent(*file.noise_multiplier));
      continue;
    }
    double low = 1e-3, high = 1e6;
    if (!(spent(high) <= *file.epsilon - margin))
      return in_file(
          file, invalid("privacy.epsilon = " + Json(*file.epsilon).dump() + " is out of reach of any noise at this delta"));
    while (high / low > 1 + 1e-6)
      (spent(std::sqrt(low * high)) <= *file.epsilon - margin ? high : low) = std::sqrt(low * high);
    site.noise_multiplier = high;
  }
  if (file.epsilon) plan.target_epsilon = *file.epsilon;
  return {};
}

}  // namespace

Result<void> set_noise(const PlanFile& file, RunPlan& plan) {
  if (!plan.privacy) return {};
  const privacy::Delta delta(plan.delta);
  const std::uint64_t steps = std::uint64_t{plan.rounds} * plan.local_steps;
  if (plan.step.sampling == SamplingScheme::kMinSeparation) return set_noise_of_run(file, plan);
  std::map<std::uint64_t, double> known;  // sites of one size have one noise
  if (file.epsilon && plan.step.sampling != SamplingScheme::kPoisson)
    return unsupported(file.path +
                       ": noise for privacy.epsilon is calibrated for Poisson sampling alone in this version; give "
                       "privacy.noise_multiplier");
  for (auto& site : plan.sites) {
    const privacy::SamplingRate rate(site.sampling_rate);
    if (file.noise_multiplier) {
      site.noise_multiplier = *file.noise_multiplier;
    } else if (const auto same = known.find(site.declared_size); same != known.end()) {
      site.noise_multiplier = same->second;
    } else {
      const auto sigma =
          privacy::calibrate_noise(privacy::Epsilon(*file.epsilon), delta, rate, steps, privacy::Accountant::kBoth);
      if (!sigma.ok()) return in_file(file, sigma.error());
      site.noise_multiplier = sigma->value();
      known.emplace(site.declared_size, site.noise_multiplier);
    }
    if (file.epsilon) continue;
    const auto spent = planned_epsilon(plan, site, 1);
    if (!spent.ok()) return in_file(file, spent.error());
    plan.target_epsilon = std::max(plan.target_epsilon, *spent);
  }
  if (file.epsilon) plan.target_epsilon = *file.epsilon;
  return {};
}

}  // namespace sotto::audit
