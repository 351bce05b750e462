// The noise of a plan: the smallest noise multiplier of each site with which the whole run stays within the epsilon asked
// for.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "audit/ledger/spending.h"
#include "base/json.h"
#include "plan/plan_file.h"
#include "privacy/accounting/calibrate.h"

namespace sotto::audit {
namespace {

// Steps of one noise under Poisson sampling: a search of its own, for the noise of every step.
bool is_plain(const RunPlan& plan) {
  return plan.step.sampling == SamplingScheme::kPoisson && plan.step.noise == NoiseScheme::kIndependent;
}

// The smallest noise (to 1e-4, rounded up) by which the ledger charges the site's whole run at most `target`, by halving on
// the ledger's own arithmetic.
Result<double> noise_of_run(double target, const RunPlan& plan, SitePlan site) {
  constexpr double kLowest = 1e-2, kHighest = 1e6, kStep = 4, kWidth = 1 + 1e-4;
  // Covers the certificate of the true dimension, and the width of a bracket that is computed anew from other parts.
  const double goal = target * (1 - 4e-3);
  const auto suffices = [&](double sigma) {
    site.noise_multiplier = sigma;
    const auto spent = planned_epsilon(plan, site, 1);
    return spent.ok() && *spent <= goal;
  };
  double high = 1;
  while (high < kHighest && !suffices(high)) high *= kStep;
  if (!(high < kHighest) && !suffices(kHighest)) {
    SOTTO_TRY([[maybe_unused]] const auto spent, planned_epsilon(plan, site, 1));  // what is wrong may not be the noise
    return invalid("privacy.epsilon = " + Json(target).dump() + " is out of reach of any noise at this delta");
  }
  double low = high / kStep;
  while (high <= 1 && low > kLowest && suffices(low)) {
    high = low;
    low /= kStep;
  }
  while (high / low > kWidth) {
    const double middle = std::sqrt(low * high);
    (suffices(middle) ? high : low) = middle;
  }
  return high;
}

Result<double> noise_for(double target, const RunPlan& plan, const SitePlan& site) {
  if (!is_plain(plan)) return noise_of_run(target, plan, site);
  SOTTO_TRY(const auto sigma,
            privacy::calibrate_noise(privacy::Epsilon(target), privacy::Delta(plan.delta),
                                     privacy::SamplingRate(site.sampling_rate),
                                     std::uint64_t{plan.rounds} * plan.local_steps, privacy::Accountant::kBoth));
  return sigma.value();
}

}  // namespace

Result<void> set_noise(const PlanFile& file, RunPlan& plan) {
  if (!plan.privacy) return {};
  std::map<std::uint64_t, double> known;  // by a site's size: sites of one size have one noise, and spend alike
  for (auto& site : plan.sites) {
    if (const auto same = known.find(site.declared_size); same != known.end()) {
      site.noise_multiplier = same->second;
      continue;
    }
    if (file.epsilon) {
      const auto sigma = noise_for(*file.epsilon, plan, site);
      if (!sigma.ok()) return in_file(file, sigma.error());
      site.noise_multiplier = *sigma;
    } else {
      site.noise_multiplier = *file.noise_multiplier;
      const auto spent = planned_epsilon(plan, site, 1);
      if (!spent.ok()) return in_file(file, spent.error());
      plan.target_epsilon = std::max(plan.target_epsilon, *spent);
    }
    known.emplace(site.declared_size, site.noise_multiplier);
  }
  if (file.epsilon) plan.target_epsilon = *file.epsilon;
  return {};
}

}  // namespace sotto::audit
