// What bench/model.py measures of Sotto, in one process: model_bench MODEL PRECISION THREADS [TASK...], one JSON object on
// stdout. Token ids are fixed, and the same that the peers get.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>

#include "base/json.h"
#include "crypto/system_random.h"
#include "model/adapter/lora.h"
#include "model/training/adapter_trainer.h"

namespace sotto::model {
namespace {

constexpr int kRepeats = 3;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double best(const std::function<void()>& work) {
  double least = seconds(work);
  for (int i = 1; i < kRepeats; ++i) least = std::min(least, seconds(work));
  return least;
}

// A line "NAME:   123 kB" of /proc/self/status, in bytes.
std::int64_t memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":")) return std::atoll(line.c_str() + name.size() + 1) * 1024;
  return 0;
}

std::vector<std::int32_t> some_ids(std::size_t count, std::size_t start) {
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<std::int32_t>((start + i) * 7919 % 40000 + 100));
  return ids;
}

data::DataSet records(std::size_t count, std::size_t length) {
  data::DataSet data;
  for (std::size_t r = 0; r < count; ++r) {
    data::Example example{some_ids(length, 1000 * r), {}};
    for (std::size_t t = 0; t < length; ++t) example.labels.push_back(t < length / 2 ? data::kNoLabel : example.ids[t]);
    data.units.push_back({"", {static_cast<std::uint32_t>(r)}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

AdapterState some_adapter(const LanguageModel& model, float step) {
  LoraPlan plan;
  plan.rank = 4;
  plan.alpha = 8;
  plan.targets = {"q_proj", "v_proj", "o_proj", "down_proj"};
  auto adapter = zero_adapter(lora_layout(model.config(), plan).value());
  for (auto& factors : adapter.factors)
    for (std::size_t i = 0; i < factors.a.size(); ++i) factors.a[i] = static_cast<float>(i % 17) * step - 8 * step;
  return adapter;
}

// Two adapters on one loaded base, in turn: seconds a swap, and by how much the process has grown after a hundred.
void swap_adapters(LanguageModel& model, Json& out) {
  const AdapterState adapters[] = {some_adapter(model, 0.01F), some_adapter(model, -0.02F)};
  const auto swaps = [&](int count) {
    for (int i = 0; i < count; ++i)
      if (!model.set_adapter(adapters[i % 2]).ok()) std::abort();
  };
  swaps(10);
  const std::int64_t before = memory("VmRSS");
  const double time = seconds([&] { swaps(100); });
  out.set("swap", time / 100);
  out.set("swap_grown_bytes", std::max<std::int64_t>(0, memory("VmRSS") - before));
  model.clear_adapter();
}

double training_step(LanguageModel& model) {
  const auto start = some_adapter(model, 0.01F);
  auto trainer = AdapterTrainer::make(model, start, TrainedPart::kAB).value();
  const privacy::Grid grid(privacy::ClipNorm(0.3), trainer.dimension());
  const auto data = records(8, 128);
  crypto::SystemRandom random;
  const double time = best([&] {
    const std::vector<std::uint32_t> counts(data.units.size(), 1);
    auto units = privacy::SampledUnits::draw(privacy::Unit::kPatient, counts, privacy::SamplingRate(1.0), 1, random);
    if (!trainer.clipped_sum(data, std::move(units), grid).ok()) std::abort();
  });
  model.clear_adapter();
  return time;
}

double generation(const LanguageModel& model, std::size_t sequences) {
  std::vector<std::vector<std::int32_t>> prompts;
  for (std::size_t i = 0; i < sequences; ++i) prompts.push_back(some_ids(32, 100 * i));
  GenerateOptions options;
  options.max_new_tokens = 64;
  return best([&] {
    if (!model.generate(prompts, options).ok()) std::abort();
  });
}

}  // namespace
}  // namespace sotto::model

int main(int argc, char** argv) {
  using namespace sotto;
  using namespace sotto::model;
  if (argc < 4) return 2;
  const std::vector<std::string> tasks(argv + 4, argv + argc);
  LoadOptions options;
  options.precision = std::string(argv[2]) == "bf16" ? Precision::kBf16 : Precision::kFp32;
  options.threads = std::atoi(argv[3]);
  const std::int64_t before = memory("VmRSS");
  std::optional<LanguageModel> model;
  Json out = Json::object();
  out.set("load_s", seconds([&] { model.emplace(LanguageModel::load(argv[1], options).value()); }));
  out.set("peak_bytes", memory("VmHWM") - before);
  out.set("weight_bytes", model->weight_bytes());
  for (const auto& task : tasks) {
    if (task == "prefill") out.set(task, best([&] { static_cast<void>(model->score(some_ids(512, 0), 1).value()); }));
    if (task == "train") out.set(task, training_step(*model));
    if (task == "generate") out.set(task, generation(*model, 1));
    if (task == "swap") swap_adapters(*model, out);
    if (task == "generate16") out.set(task, generation(*model, 16));
  }
  std::cout << out.dump() << '\n';
}
