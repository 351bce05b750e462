#include "privacy/mechanism.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "privacy/correlation.h"

namespace sotto::privacy {
namespace {

Sampling sampling_of(const DpEvent& event) {
  Sampling out;
  out.kind = event.sampling;
  out.rate = event.sampling_rate.value();
  out.population = event.population;
  out.population_is_bound = true;
  out.batch_size = event.batch_size;
  out.epoch_steps = event.epoch_steps;
  return out;
}

// A whole run, of which a unit is in every min_separation-th step.
MatrixMechanism matrix_of(const DpEvent& event, NoiseMultiplier sigma) {
  Correlation correlation{CorrelationKind::kNone, event.bands, event.run_steps};
  if (event.noise == NoiseKind::kBanded) correlation.kind = CorrelationKind::kBanded;
  if (event.noise == NoiseKind::kBlt) correlation.kind = CorrelationKind::kBlt;
  const std::uint64_t participations = (event.run_steps - 1) / event.min_separation + 1;
  return {sigma.value(), coefficients(correlation), event.run_steps, participations, event.min_separation};
}

}  // namespace

void add_release(std::vector<Release>& list, Release release) {
  for (Release& same : list) {
    std::swap(same.count, release.count);
    const bool equal = same == release;
    std::swap(same.count, release.count);
    if (equal) {
      same.count += release.count;
      return;
    }
  }
  list.push_back(std::move(release));
}

Result<Release> release_of(const DpEvent& event) {
  constexpr std::uint64_t kMostUnits = 1'000'000'000;  // what truncation_of() is right for
  if (event.population > kMostUnits) return unsupported("a population above 1000000000 is not accounted in this version");
  if (event.run_step != 0) return refused("a single step of a run without sampling has no epsilon; the run has");
  if (event.epoch_step != 0) return refused("a single step of a random allocation has no epsilon; its epoch has");
  SOTTO_TRY(const NoiseMultiplier sigma, effective_noise_multiplier(event));
  Release out;
  out.mechanism = GaussianNoise{sigma.value()};
  out.sampling = sampling_of(event);
  out.count = static_cast<double>(event.count);
  if (event.sampling == SamplingKind::kMinSeparation) {
    out.mechanism = matrix_of(event, sigma);
    out.sampling = {};
    out.max_divergence = certificate_log_ratio(event) * static_cast<double>(event.run_steps);
    return out;
  }
  const bool epochs = event.sampling == SamplingKind::kRandomAllocation;
  out.max_divergence = certificate_log_ratio(event) * (epochs ? static_cast<double>(event.epoch_steps) : 1);
  return out;
}

Result<std::vector<Release>> releases_of(std::span<const DpEvent> events) {
  std::vector<Release> out;
  // Steps of allocations: of each kind of epoch, how many of each step.
  using Kind = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, double, std::uint64_t>;
  std::map<Kind, std::map<std::uint64_t, double>> steps;
  std::vector<std::pair<DpEvent, std::map<std::uint64_t, double>>> runs;  // the same of runs without sampling
  for (const DpEvent& event : events) {
    if (event.unit != events.front().unit) {
      return refused("events of unit \"" + std::string(to_string(event.unit)) + "\" and of unit \"" +
                     std::string(to_string(events.front().unit)) + "\" have no common epsilon; compose each unit by itself");
    }
    DpEvent epoch = event;
    if (event.sampling == SamplingKind::kRandomAllocation && event.epoch_step > 0) {
      auto& counts = steps[{event.epoch_steps, event.noise_stddev, event.noise_shares, event.sensitivity, event.grid_step,
                            event.dimension}];
      counts[event.epoch_step] += static_cast<double>(event.count);
      if (counts[event.epoch_step] > counts[1]) {
        return refused("step " + std::to_string(event.epoch_step) + " of a random allocation of " +
                       std::to_string(event.epoch_steps) + " steps comes without its epoch's first step");
      }
      if (event.epoch_step > 1) continue;  // its epoch is charged whole with its first step
      epoch.epoch_step = 0;
    }
    if (event.sampling == SamplingKind::kMinSeparation && event.run_step > 0) {
      epoch.run_step = 0;
      auto run = std::ranges::find(runs, epoch, &std::pair<DpEvent, std::map<std::uint64_t, double>>::first);
      if (run == runs.end()) run = runs.insert(run, {epoch, {}});
      if (++run->second[event.run_step] > run->second[1]) {
        return refused("step " + std::to_string(event.run_step) + " of a run of " + std::to_string(event.run_steps) +
                       " steps without sampling comes without the run's first step");
      }
      if (event.run_step > 1) continue;  // the run is charged whole with its first step
    }
    SOTTO_TRY(Release release, release_of(epoch));
    add_release(out, std::move(release));
  }
  return out;
}

}  // namespace sotto::privacy
