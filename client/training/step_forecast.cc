#include "client/training/step_forecast.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>

#include "crypto/stream_random.h"
#include "model/network/packing.h"
#include "privacy/mechanism/noise.h"

namespace sotto::client {
namespace {

// The first step takes as much memory as any, and is not counted; nor is the second one where steps are short, since kernels
// are made for the shapes of an average one in it. Short steps are measured more often: one of them by itself tells little.
constexpr int kFewest = 2, kMost = 12;
constexpr double kShortSeconds = 2, kEnoughSeconds = 5;

// Units of the site, their tokens shuffled.
data::DataSet shuffled(const data::DataSet& own, const std::vector<std::size_t>& units, const RunPlan& plan,
                       RandomSource& random) {
  data::DataSet out;
  for (const auto u : units) {
    const auto& unit = own.units[u];
    data::Unit made{"", {}};
    for (std::size_t r = 0; r < std::min<std::size_t>(unit.examples.size(), plan.max_records); ++r) {
      data::Example example = own.examples[unit.examples[r]];
      for (auto& id : example.ids) id = example.ids[random.below(example.ids.size())];
      for (std::size_t t = 0; t < example.labels.size(); ++t)
        if (example.labels[t] != data::kNoLabel) example.labels[t] = example.ids[t];
      made.examples.push_back(static_cast<std::uint32_t>(out.examples.size()));
      out.examples.push_back(std::move(example));
    }
    out.units.push_back(std::move(made));
  }
  return out;
}

// As many as a step has on average, chosen at random.
std::vector<std::size_t> average_step(const data::DataSet& own, const RunPlan& plan, RandomSource& random) {
  std::vector<std::size_t> units(static_cast<std::size_t>(std::max(1.0, std::round(plan.expected_batch))));
  for (auto& u : units) u = random.below(own.units.size());
  return units;
}

// The longest ones: what a step takes of memory is what its fullest pass takes, and such a pass comes with any batch size.
std::vector<std::size_t> fullest_step(const data::DataSet& own) {
  const auto tokens = [&](std::size_t u) {
    std::size_t sum = 0;
    for (const auto e : own.units[u].examples) sum += own.examples[e].ids.size();
    return sum;
  };
  std::vector<std::size_t> units(own.units.size());
  std::iota(units.begin(), units.end(), std::size_t{0});
  std::ranges::sort(units, std::greater(), tokens);
  std::size_t count = 0;
  for (std::size_t filled = 0; count < units.size() && filled < 2 * model::kRowsPerPass; ++count)
    filled += tokens(units[count]);
  units.resize(count);
  return units;
}

model::DropoutStreams masks(const RunPlan& plan, RandomSource& random) {
  if (plan.lora.dropout == 0) return {};
  return [&random](std::uint32_t, std::uint32_t, std::uint32_t) {
    return std::make_unique<crypto::StreamRandom>(crypto::StreamKey::random(random));
  };
}

}  // namespace

std::uint64_t peak_memory() {
  struct rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::string text_of(const StepForecast& forecast, const RunPlan& plan) {
  const double steps = static_cast<double>(plan.rounds) * plan.local_steps;
  char line[200];
  std::snprintf(line, sizeof line,
                "forecast: %.3g s a step of %u units, %.3g min for %.0f steps without evaluations; %.0f MB of memory\n",
                forecast.seconds, forecast.units, steps * forecast.seconds / 60, steps,
                static_cast<double>(forecast.peak_bytes) / 1e6);
  return line;
}

Result<StepForecast> forecast_step(const RunPlan& plan, model::Training& training, const data::DataSet& data,
                                   RandomSource& random) {
  const auto& site = plan.sites.front();
  const auto before = training.state();
  model::Optimizer optimizer(plan.optimizer, training.dimension());
  const model::DropoutStreams dropout = masks(plan, random);
  StepForecast forecast;
  double seconds = 0;
  int counted = 0;
  for (int k = 0; counted < kFewest || (counted < kMost && seconds < kEnoughSeconds); ++k) {
    const auto throw_away = shuffled(data, k == 0 ? fullest_step(data) : average_step(data, plan, random), plan, random);
    std::vector<std::uint32_t> records;
    for (const auto& unit : throw_away.units) records.push_back(static_cast<std::uint32_t>(unit.examples.size()));
    forecast.units = static_cast<std::uint32_t>(records.size());
    const auto began = std::chrono::steady_clock::now();
    auto units =
        privacy::SampledUnits::draw(privacy::Unit::kPatient, records, privacy::SamplingRate(1.0), plan.max_records, random);
    const privacy::ExpectedBatch batch(privacy::SamplingRate(site.sampling_rate), site.declared_size);
    std::vector<float> mean;
    if (plan.privacy) {
      const privacy::Grid grid(privacy::ClipNorm(plan.clip_norm), training.dimension());
      SOTTO_TRY(auto sum, training.clipped_sum(throw_away, std::move(units), grid, dropout));
      crypto::StreamRandom noise(crypto::StreamKey::random(random));
      mean = privacy::add_noise(std::move(sum), privacy::NoiseMultiplier(site.noise_multiplier), noise).mean(batch);
    } else {
      SOTTO_TRY(auto sum, training.unclipped_sum(throw_away, std::move(units), dropout));
      mean = privacy::NonPrivateSum(std::move(sum)).mean(batch);
    }
    training.step(optimizer, mean, 1e-6);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (k == 0 || (k == 1 && took < kShortSeconds)) continue;
    seconds += took;
    ++counted;
  }
  SOTTO_TRY_VOID(training.set_state(before));
  forecast.seconds = seconds / counted;
  forecast.peak_bytes = peak_memory();
  return forecast;
}

}  // namespace sotto::client
