#include "privacy/compose.h"

#include <string>
#include <vector>

namespace sotto::privacy {

Result<EpsilonBound> compose(std::span<const DpEvent> events, Delta delta) {
  std::vector<GaussianSteps> steps;
  double max_divergence = 0;
  for (const DpEvent& event : events) {
    if (event.unit != events.front().unit) {
      return refused("events of unit \"" + std::string(to_string(event.unit)) + "\" and of unit \"" +
                     std::string(to_string(events.front().unit)) + "\" have no common epsilon; compose each unit by itself");
    }
    if (event.sampling != SamplingKind::kPoisson) {
      return unsupported("the accountant has no epsilon for sampling \"" + std::string(to_string(event.sampling)) +
                         "\" in this version; use poisson");
    }
    SOTTO_TRY(const NoiseMultiplier sigma, effective_noise_multiplier(event));
    steps.push_back({sigma, event.sampling_rate, event.count});
    max_divergence += static_cast<double>(event.count) * certificate_log_ratio(event);
  }
  return epsilon_of_steps(steps, delta, max_divergence);
}

}  // namespace sotto::privacy
