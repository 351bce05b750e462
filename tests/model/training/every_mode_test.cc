// The clipped sum of every mode - whatever is trained, however it is clipped - against the slow way: each record by itself
// through plain automatic differentiation, added up to its unit, clipped in double. And its integers in other company.
#include "model/inference/model_state.h"
#include "model/training/adapter_trainer.h"
#include "model/training/full_trainer.h"
#include "model/training/plain_model.h"
#include "tests/model/training/gradient_case.h"

namespace sotto::model::gradients {
namespace {

constexpr double kClip = 0.5;

// Patients with one to four records: the longest fill a pass, the shortest have one label; one is there twice, one has the
// same record twice, one has no record left.
data::DataSet patients() {
  const std::vector<std::uint32_t> lengths = {31, 200, 17, 250, 120, 5, 77, 33, 256, 18, 48, 2};
  auto data = random_data(lengths, 15);
  data.units = {{"a", {0, 1, 3}},       {"b", {2}},  {"c", {8, 4, 5, 6}}, {"d", {7, 9}}, {"e", {10}},
                {"a again", {0, 1, 3}}, {"f", {11}}, {"g", {5, 5}},       {"h", {}}};
  return data;
}

// One thing to train, with its fast and its slow way.
struct Mode {
  std::string name;
  std::unique_ptr<Training> training;
  std::function<std::vector<float>(const TrimmedExample&)> slow;
};

Mode mode_of(const std::string& name, LanguageModel& model, const AdapterState& lora) {
  if (name == "full") {
    auto plain = std::make_shared<PlainModel>(model.state().weights, AdapterState{});
    return {name, std::make_unique<FullTrainer>(model),
            [plain](const auto& example) { return plain->whole_gradient(example); }};
  }
  AdapterState start = lora;
  TrainedPart part = name == "A" ? TrainedPart::kA : name == "B" ? TrainedPart::kB : TrainedPart::kAB;
  if (name == "prompt") {
    part = TrainedPart::kPrompt;
    start = {};
    start.layout.prompt = {5, model.config().hidden_size, 0.1};
    FixedRandom random(8);
    for (std::uint32_t i = 0; i < 5 * model.config().hidden_size; ++i)
      start.prompt.push_back(static_cast<float>(random.below(1000)) * 2e-4F - 0.1F);
  }
  auto trainer = std::make_unique<AdapterTrainer>(
      AdapterTrainer::make(model, start, part == TrainedPart::kA ? TrainedPart::kAlternating : part).value());
  if (part == TrainedPart::kA) trainer->begin_round(RoundId(1));
  auto plain = std::make_shared<PlainModel>(model.state().weights, start);
  return {name, std::move(trainer), [plain, part](const auto& example) { return plain->gradient(example, part); }};
}

std::vector<std::vector<double>> slow_gradients(const Mode& mode, const data::DataSet& data, const ModelConfig& config) {
  std::vector<std::vector<double>> out;
  for (const auto& unit : data.units) {
    out.emplace_back(mode.training->dimension());
    for (const auto record : unit.examples) {
      const auto one = mode.slow(trim(data.examples[record], config).value());
      for (std::size_t i = 0; i < one.size(); ++i) out.back()[i] += static_cast<double>(one[i]);
    }
  }
  return out;
}

double length(std::span<const double> v) {
  double square = 0;
  for (const double x : v) square += x * x;
  return std::sqrt(square);
}

// As docs/privacy.md, 3.1, has it.
std::vector<double> slow_sum(const std::vector<std::vector<double>>& units, const privacy::Clipping& clipping) {
  const double share = clipping.counts_clipped ? std::sqrt(1 - 0.01) : 1;
  std::vector<double> sum(units.front().size());
  const auto groups = clipping.groups.empty() ? std::vector{sum.size()} : clipping.groups;
  const double parts = std::sqrt(static_cast<double>(groups.size()));
  for (const auto& unit : units) {
    std::size_t at = 0;
    for (const std::size_t size : groups) {
      const double norm = length(std::span(unit).subspan(at, size));
      double factor = std::min(1.0, clipping.threshold * share / parts / norm) * kClip / clipping.threshold;
      if (clipping.kind == privacy::ClippingKind::kAutomatic) factor = kClip * share / (norm + 0.01);
      for (std::size_t i = at; i < at + size && norm > 0; ++i) sum[i] += factor * unit[i];
      at += size;
    }
  }
  return sum;
}

std::vector<privacy::Clipping> clippings(const Mode& mode) {
  std::vector<privacy::Clipping> out;
  for (const bool counts : {false, true}) {
    out.push_back({privacy::ClippingKind::kFlat, kClip, {}, counts});
    out.push_back({privacy::ClippingKind::kAutomatic, kClip, {}, counts});
    out.push_back({privacy::ClippingKind::kAdaptive, 0.13, {}, counts});
    if (mode.name != "prompt")
      out.push_back({privacy::ClippingKind::kPerLayer, kClip, mode.training->layer_groups(), counts});
  }
  return out;
}

double difference(const privacy::ClippedSum& fast, const std::vector<double>& slow) {
  std::vector<double> apart(slow.size());
  for (std::size_t i = 0; i < slow.size(); ++i)
    apart[i] = static_cast<double>(fast.reveal_without_noise()[i]) * fast.grid().step() - slow[i];
  return length(apart) / length(slow);
}

}  // namespace

// The grid is so fine that rounding stays below the tolerance.
TEST_CASE("the clipped sum of whatever is trained, clipped in any way, is that of one record at a time, to 1e-5",
          "[model]") {
  const Case c;
  const auto data = patients();
  for (const std::string name : {"B", "A", "AB", "prompt", "full"}) {
    auto model = tiny_llama();
    const Mode mode = mode_of(name, model, c.adapter);
    const auto units = slow_gradients(mode, data, model.config());
    for (const auto& clipping : clippings(mode)) {
      INFO(name << ", clipping " << to_string(clipping.kind) << (clipping.counts_clipped ? ", counted" : ""));
      const double finest = name == "full" ? 8e-6 : 4e-6;  // of so many coordinates
      const privacy::Grid grid(privacy::ClipNorm(kClip), mode.training->dimension() + clipping.counts_clipped, finest);
      const auto fast = mode.training->clipped_sum(data, all_units(data), {grid, clipping}).value();
      CHECK(difference(fast, slow_sum(units, clipping)) < 1e-5);
    }
  }
}

TEST_CASE("a unit's integers are the same alone, in other orders and at other thread counts, whatever is trained",
          "[model]") {
  const Case c;
  const auto data = patients();
  auto turned = data;
  std::ranges::reverse(turned.units);
  std::ranges::rotate(turned.units, turned.units.begin() + 3);
  for (const auto precision : precisions())
    for (const std::string name : {"B", "A", "AB", "prompt", "full"}) {
      INFO(name << (precision == Precision::kBf16 ? ", bf16" : ", fp32"));
      std::vector<std::int64_t> sum;
      for (const int threads : {1, 2}) {
        auto model = tiny_llama(precision, threads);
        const Mode mode = mode_of(name, model, c.adapter);
        const privacy::Clipping clipping{privacy::ClippingKind::kFlat, kClip, {}, true};
        const privacy::Grid grid(privacy::ClipNorm(kClip), mode.training->dimension() + 1);
        const auto of = [&](const data::DataSet& some) {
          return mode.training->clipped_sum(some, all_units(some), {grid, clipping})->reveal_without_noise();
        };
        std::vector<std::int64_t> alone(grid.dimension());
        for (const auto& unit : data.units) {
          auto one = data;
          one.units = {unit};
          const auto integers = of(one);
          for (std::size_t i = 0; i < alone.size(); ++i) alone[i] += integers[i];
        }
        if (sum.empty()) sum = alone;
        CHECK(alone == sum);
        CHECK(of(data) == sum);
        CHECK(of(turned) == sum);
      }
    }
  tiny_llama(Precision::kFp32, 1);
}

}  // namespace sotto::model::gradients
