// One training step of the engine, timed in CPU seconds, for bench/dp.py: prints a line about the model, then one JSON line
// for each "step" on stdin (so that the steps of several systems can be interleaved), until stdin ends.
//   dp_step MODEL BATCH TOKENS private|plain [fp32|bf16] [threads] [device]
#include <sys/resource.h>

#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>

#include "crypto/secret.h"
#include "crypto/stream_random.h"
#include "crypto/system_random.h"
#include "model/adapter/lora.h"
#include "model/training/adapter_trainer.h"
#include "privacy/mechanism/noise.h"

namespace {

using namespace sotto;

constexpr double kClip = 0.1, kSigma = 0.5;

data::DataSet random_records(const model::ModelConfig& config, std::uint32_t batch, std::uint32_t tokens,
                             RandomSource& random) {
  data::DataSet data;
  for (std::uint32_t u = 0; u < batch; ++u) {
    data::Example example;
    for (std::uint32_t t = 0; t <= tokens; ++t) {  // each of `tokens` positions predicts the next token
      example.ids.push_back(static_cast<std::int32_t>(random.below(config.vocab_size)));
      example.labels.push_back(example.ids.back());
    }
    data.units.push_back({"", {u}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

AdapterState random_adapter(const AdapterLayout& layout, RandomSource& random) {
  AdapterState state = model::zero_adapter(layout);
  const auto fill = [&](std::vector<float>& values, double width) {
    for (float& v : values) v = static_cast<float>(width * (static_cast<double>(random.below(2001)) / 1000 - 1));
  };
  for (auto& factors : state.factors) {
    fill(factors.a, 0.04);
    fill(factors.b, 0.02);
  }
  return state;
}

struct Step {
  model::AdapterTrainer trainer;
  data::DataSet data;
  model::Optimizer optimizer;
  privacy::Grid grid;
  crypto::SystemRandom system;

  Result<void> operator()(bool with_privacy) {
    const std::vector<std::uint32_t> records(data.units.size(), 1);
    const privacy::SamplingRate all(1.0);
    const privacy::ExpectedBatch batch(all, data.units.size());
    auto units = privacy::SampledUnits::draw(privacy::Unit::kPatient, records, all, 1, system);
    std::vector<float> mean;
    if (with_privacy) {
      SOTTO_TRY(auto sum, trainer.clipped_sum(data, std::move(units), grid));
      crypto::StreamRandom noise(crypto::StreamKey::random(system));
      mean = privacy::add_noise(std::move(sum), privacy::NoiseMultiplier(kSigma), noise).mean(batch);
    } else {
      SOTTO_TRY(auto sum, trainer.unclipped_sum(data, std::move(units)));
      mean = privacy::NonPrivateSum(std::move(sum)).mean(batch);
    }
    trainer.step(optimizer, mean, 1e-4);
    return {};
  }
};

double wall() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Result<void> run(const std::vector<std::string>& args) {
  if (args.size() < 5) return invalid("usage: dp_step MODEL BATCH TOKENS private|plain [fp32|bf16] [threads] [device]");
  const auto batch = static_cast<std::uint32_t>(std::stoul(args[2])),
             tokens = static_cast<std::uint32_t>(std::stoul(args[3]));
  const auto precision = args.size() > 5 && args[5] == "bf16" ? Precision::kBf16 : Precision::kFp32;
  const int threads = args.size() > 6 ? std::stoi(args[6]) : 1;
  SOTTO_TRY(auto model, model::LanguageModel::load(args[1], {args.size() > 7 ? args[7] : "cpu", precision, threads}));
  LoraPlan plan;
  plan.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  SOTTO_TRY(const auto layout, model::lora_layout(model.config(), plan));
  crypto::SystemRandom random;
  SOTTO_TRY(auto trainer, model::AdapterTrainer::make(model, random_adapter(layout, random), TrainedPart::kAB));
  const std::size_t dimension = trainer.dimension();
  Step step{std::move(trainer),
            random_records(model.config(), batch, tokens, random),
            model::Optimizer(OptimizerPlan{}, dimension),
            privacy::Grid(privacy::ClipNorm(kClip), dimension),
            {}};
  std::printf("{\"ready\": true, \"trained\": %zu, \"parameters\": %llu}\n", dimension,
              static_cast<unsigned long long>(model.config().parameters()));
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line) && line == "step";) {
    const double wall_before = wall();
    const std::clock_t before = std::clock();
    SOTTO_TRY_VOID(step(args[4] == "private"));
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("{\"cpu\": %.4f, \"wall\": %.4f, \"peak_mib\": %.1f}\n",
                static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, wall() - wall_before,
                static_cast<double>(usage.ru_maxrss) / 1024);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = run({argv, argv + argc});
  if (!done.ok()) std::fprintf(stderr, "dp_step: %s\n", done.error().message.c_str());
  return done.ok() ? 0 : 1;
}
