#include "plan/noise/plan_noise.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "base/json.h"
#include "plan/planned_events.h"
#include "privacy/accounting/calibrate.h"
#include "privacy/accounting/compose.h"

namespace sotto::plan {
namespace {

// Steps of one noise under Poisson sampling: a search of its own, for the noise of every step.
bool is_plain(const RunPlan& plan) {
  return plan.step.sampling == privacy::SamplingKind::kPoisson && plan.step.noise == privacy::CorrelationKind::kIndependent;
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
  SOTTO_TRY(const auto sigma, privacy::calibrate_noise(privacy::Epsilon(target), privacy::Delta(plan.delta),
                                                       privacy::SamplingRate(site.sampling_rate), total_steps(plan),
                                                       privacy::Accountant::kBoth));
  return sigma.value();
}

}  // namespace

Result<double> planned_epsilon(const RunPlan& plan, const SitePlan& site, std::uint64_t dimension) {
  SOTTO_TRY(auto events, planned_run(plan, site, dimension));
  events = privacy::merged(events);
  SOTTO_TRY(const auto delta, privacy::Delta::make(plan.delta));
  if (!events.empty()) {
    const auto spent = privacy::proven_epsilon(events, delta, privacy::neighbours_of(events));
    if (spent.ok() && std::isfinite(spent->upper())) return spent->upper();
  }
  return invalid("a noise multiplier of " + Json(site.noise_multiplier).dump() + " over " +
                 std::to_string(total_steps(plan)) + " steps has no finite epsilon; give more noise or fewer steps");
}

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

}  // namespace sotto::plan
