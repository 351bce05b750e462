#include "privacy/accounting/mechanism.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "privacy/mechanism/correlation.h"

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
  Correlation correlation{CorrelationKind::kIndependent, event.bands, event.run_steps};
  if (event.noise == NoiseKind::kBanded) correlation.kind = CorrelationKind::kBanded;
  if (event.noise == NoiseKind::kBlt) correlation.kind = CorrelationKind::kBlt;
  const std::uint64_t participations = (event.run_steps - 1) / event.min_separation + 1;
  return {sigma.value(), coefficients(correlation), event.run_steps, participations, event.min_separation};
}

// The best of a random number of runs, each of which is one of these events.
Result<Release> selection_of(std::span<const DpEvent> choices) {
  RepeatAndSelect out;
  const Trials& trials = choices.front().trials;
  out.mean = trials.mean;
  if (trials.kind == TrialsKind::kGeometric) out.shape = 1;
  for (DpEvent event : choices) {
    if (event.trials != trials)
      return refused("the choices of a selection's runs do not stand together; the events are damaged or in another order");
    event.trials = {};
    SOTTO_TRY(Release release, release_of(event));
    if (out.run.empty())
      out.run = {std::move(release)};
    else
      out.or_runs.push_back({std::move(release)});
  }
  return Release{.mechanism = std::move(out), .sampling = {}, .sensitivity = {}};
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
  if (event.trials.kind != TrialsKind::kNone) {
    if (event.trials.choices != 1)
      return refused("one of several choices of a selection's runs has no epsilon; all of them together have");
    return selection_of({&event, 1});
  }
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
  for (std::size_t i = 0; i < events.size(); ++i) {
    const DpEvent& event = events[i];
    if (event.unit != events.front().unit) {
      return refused("events of unit \"" + std::string(to_string(event.unit)) + "\" and of unit \"" +
                     std::string(to_string(events.front().unit)) + "\" have no common epsilon; compose each unit by itself");
    }
    if (event.trials.kind != TrialsKind::kNone) {
      if (event.trials.choices > events.size() - i)
        return refused("a selection's run has " + std::to_string(event.trials.choices) + " choices, and not all are there");
      const auto choices = events.subspan(i, event.trials.choices);
      if (std::ranges::any_of(choices, [&](const DpEvent& e) { return e.unit != event.unit; }))
        return refused("the choices of a selection's runs are of different units");
      SOTTO_TRY(Release release, selection_of(choices));
      add_release(out, std::move(release));
      i += choices.size() - 1;
      continue;
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
