#include "model/training/self_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "model/adapter/lora.h"
#include "model/inference/model_state.h"
#include "model/training/adapter_trainer.h"
#include "model/training/full_trainer.h"
#include "model/training/plain_model.h"

namespace sotto::model {
namespace {

constexpr int kDraws = 6;
constexpr double kCoarsest = 0.25;  // what rounding to the grid may change of a sum

// What a check is made of besides data.
struct ClipAt {
  const ModelConfig& config;
  Precision precision;
  privacy::ClipNorm clip;
};

float uniform(RandomSource& random, double half_width) {
  return static_cast<float>(half_width * (2 * std::ldexp(static_cast<double>(random.bits64() >> 11), -53) - 1));
}

// Neither factor zero, so that both gradients are not; of the size that training reaches.
AdapterState throw_away_adapter(const AdapterLayout& layout, RandomSource& random) {
  AdapterState state = zero_adapter(layout);
  for (std::size_t m = 0; m < state.factors.size(); ++m) {
    const double width = 1 / std::sqrt(static_cast<double>(layout.modules[m].in));
    for (float& a : state.factors[m].a) a = uniform(random, width);
    for (float& b : state.factors[m].b) b = uniform(random, 0.02);
  }
  return state;
}

// A prompt of the model's own tokens. At vectors that are no token's, which training may well visit, a bf16 pass is
// ill-conditioned (the first position's activations are thousands of times the others'), and says nothing of the arithmetic.
std::vector<float> throw_away_prompt(const Weights& weights, const PromptShape& layout, RandomSource& random) {
  std::vector<float> prompt;
  for (std::uint32_t t = 0; t < layout.tokens; ++t) {
    const auto token = static_cast<std::int64_t>(random.below(weights.config.vocab_size));
    const at::Tensor row = (weights.embedding_VC[token] * weights.config.embedding_scale).to(at::kFloat).cpu().contiguous();
    prompt.insert(prompt.end(), row.const_data_ptr<float>(), row.const_data_ptr<float>() + row.numel());
  }
  return prompt;
}

// Four units with one or two records of 8 to 40 random tokens, the second half of each a response.
data::DataSet random_data(const ModelConfig& config, std::uint32_t prompt_tokens, RandomSource& random) {
  data::DataSet data;
  for (std::uint32_t u = 0; u < 4; ++u) {
    data::Unit unit{"", {}};
    for (std::uint32_t r = 0; r <= u % 2; ++r) {
      data::Example example;
      const auto length = std::min<std::uint64_t>(8 + random.below(33), config.max_positions - prompt_tokens);
      for (std::uint64_t t = 0; t < length; ++t) {
        example.ids.push_back(static_cast<std::int32_t>(random.below(config.vocab_size)));
        example.labels.push_back(t < length / 2 ? data::kNoLabel : example.ids.back());
      }
      unit.examples.push_back(static_cast<std::uint32_t>(data.examples.size()));
      data.examples.push_back(std::move(example));
    }
    data.units.push_back(std::move(unit));
  }
  return data;
}

privacy::SampledUnits all_units(const data::DataSet& data, RandomSource& random) {
  std::vector<std::uint32_t> counts;
  for (const auto& unit : data.units) counts.push_back(static_cast<std::uint32_t>(unit.examples.size()));
  return privacy::SampledUnits::draw(privacy::Unit::kPatient, counts, privacy::SamplingRate(1.0), 2, random);
}

// Of one record, by plain automatic differentiation.
using SlowGradient = std::function<std::vector<float>(const TrimmedExample& example)>;

Result<std::vector<double>> slow_sum(const SlowGradient& gradient_of, std::size_t size, const data::DataSet& data,
                                     const ClipAt& at) {
  std::vector<double> sum(size);
  for (const auto& unit : data.units) {
    std::vector<double> of_unit(sum.size());
    for (const auto index : unit.examples) {
      SOTTO_TRY(const auto example, trim(data.examples[index], at.config));
      const auto gradient = gradient_of(example);
      for (std::size_t i = 0; i < sum.size(); ++i) of_unit[i] += static_cast<double>(gradient[i]);
    }
    double square = 0;
    for (const double g : of_unit) square += g * g;
    const double factor = std::min(1.0, at.clip.l2() / std::sqrt(square));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * of_unit[i];
  }
  return sum;
}

// Not the machine's fault: the clip norm is so far above the gradients' norms that its grid does not resolve them.
Error too_coarse(const ClipAt& at, double rounding) {
  char text[240];
  std::snprintf(text, sizeof text,
                "self-check: privacy.clip_norm = %g is far above the norms of gradients here: rounding to its grid changes "
                "their sum by %.2g of itself; give a clip norm near those norms (docs/privacy.md, 3)",
                at.clip.l2(), rounding);
  return invalid(text);
}

struct Comparison {
  double difference = 0;  // |fast - slow| / |slow|
  double length = 0;      // |slow|
};

Result<Comparison> compare(const privacy::ClippedSum& sum, const SlowGradient& gradient_of, const data::DataSet& data,
                           const ClipAt& at) {
  const auto& fast = sum.reveal_without_noise();
  SOTTO_TRY(const auto slow, guarded([&] { return slow_sum(gradient_of, sum.dimension(), data, at); }));
  double difference = 0, whole = 0;
  for (std::size_t i = 0; i < slow.size(); ++i) {
    const double d = static_cast<double>(fast[i]) * sum.grid().step() - slow[i];
    difference += d * d;
    whole += slow[i] * slow[i];
  }
  return Comparison{std::sqrt(difference / whole), std::sqrt(whole)};
}

// Whether `together` is the sum of every unit's integers where it is alone.
Result<bool> adds_up(Training& trainer, const data::DataSet& data, const privacy::ClippedSum& together,
                     RandomSource& random) {
  const privacy::Grid& grid = together.grid();
  std::vector<std::int64_t> sum(grid.dimension());
  for (const auto& unit : data.units) {
    data::DataSet alone;
    alone.examples = data.examples;
    alone.units = {unit};
    SOTTO_TRY(const auto one, trainer.clipped_sum(alone, all_units(alone, random), grid));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one.reveal_without_noise()[i];
  }
  return sum == together.reveal_without_noise();
}

bool step_moves_weights(Training& trainer, const privacy::ClippedSum& sum) {
  std::vector<float> mean;
  mean.reserve(sum.dimension());
  for (const auto value : sum.reveal_without_noise())
    mean.push_back(static_cast<float>(static_cast<double>(value) * sum.grid().step()));
  const auto before = trainer.state();
  OptimizerPlan plan;
  Optimizer optimizer(plan, mean.size());
  trainer.step(optimizer, mean, 1e-3);
  const auto after = trainer.state();
  return after != before && std::ranges::all_of(after, [](float v) { return std::isfinite(v); });
}

// Everything that is checked, on one draw of data. A difference above the tolerance is the caller's to judge. What one check
// holds is gone before the next: of a whole model each sum is several times its size.
Result<SelfCheckReport> check_once(Training& trainer, const SlowGradient& gradient_of, const data::DataSet& data,
                                   const ClipAt& at, RandomSource& random) {
  const privacy::Grid grid(at.clip, trainer.dimension());
  SOTTO_TRY(const auto fast, trainer.clipped_sum(data, all_units(data, random), grid));
  SOTTO_TRY(const bool is_sum_of_units, adds_up(trainer, data, fast, random));
  if (!is_sum_of_units)
    return unavailable(
        "self-check: a unit's clipped gradient depends on which units share its pass; this CPU or device must not be used "
        "for private training");
  SOTTO_TRY(const auto compared, compare(fast, gradient_of, data, at));
  if (!std::isfinite(compared.length))
    return invalid(
        "self-check: the gradients of random tokens are not finite, so the model's weights are not; check the model's "
        "files");
  SelfCheckReport report;
  // Each unit's coordinates are moved by at most half a step, evenly spread.
  report.rounding =
      grid.step() * std::sqrt(static_cast<double>(data.units.size() * grid.dimension()) / 12) / compared.length;
  if (report.rounding > kCoarsest) return too_coarse(at, report.rounding);
  if (!step_moves_weights(trainer, fast))
    return unavailable("self-check: an optimizer step left the weights where they were or made them infinite");
  report.units = static_cast<std::uint32_t>(data.units.size());
  report.tolerance = (at.precision == Precision::kBf16 ? 0.05 : 2e-3) + 2 * report.rounding;
  report.relative_difference = compared.difference;
  return report;
}

Result<SelfCheckReport> check_adapter_once(LanguageModel& model, const AdapterLayout& layout, TrainedPart part,
                                           privacy::ClipNorm clip, RandomSource& random) {
  auto start = throw_away_adapter(layout, random);
  start.prompt = guarded([&] { return throw_away_prompt(model.state().weights, layout.prompt, random); });
  const auto data = random_data(model.config(), layout.prompt.tokens, random);
  SOTTO_TRY(auto trainer, AdapterTrainer::make(model, start, part));
  PlainModel plain(model.state().weights, start);
  const auto slow = [&](const TrimmedExample& example) { return plain.gradient(example, part); };
  auto report = check_once(trainer, slow, data, {model.config(), model.precision(), clip}, random);
  model.clear_adapter();
  return report;
}

// A bf16 model's random tokens have a tail.
Result<SelfCheckReport> within_draws(Precision precision, const std::function<Result<SelfCheckReport>()>& draw) {
  SelfCheckReport report;
  for (int i = 0; i < kDraws; ++i) {
    SOTTO_TRY(report, draw());
    if (report.relative_difference <= report.tolerance) return report;
    if (precision != Precision::kBf16) break;
  }
  return unavailable("self-check: the " + report.text() +
                     "; this build, CPU or device does not compute what it should: train nothing with it");
}

}  // namespace

std::string SelfCheckReport::text() const {
  char text[160];
  std::snprintf(text, sizeof text, "clipped sum of %u units against plain autograd: relative difference %.2e (at most %.0e)",
                units, relative_difference, tolerance);
  return text;
}

Result<SelfCheckReport> self_check(LanguageModel& model, const AdapterLayout& layout, TrainedPart part,
                                   privacy::ClipNorm clip, RandomSource& random) {
  return within_draws(model.precision(), [&] { return check_adapter_once(model, layout, part, clip, random); });
}

Result<SelfCheckReport> self_check_full(LanguageModel& model, privacy::ClipNorm clip, RandomSource& random) {
  FullTrainer trainer(model);
  const auto loaded = trainer.state();
  return within_draws(model.precision(), [&]() -> Result<SelfCheckReport> {
    auto data = random_data(model.config(), 0, random);
    data.units.resize(2);  // a whole gradient is large
    PlainModel plain(model.state().weights, {});
    const auto slow = [&](const TrimmedExample& example) { return plain.whole_gradient(example); };
    auto report = check_once(trainer, slow, data, {model.config(), model.precision(), clip}, random);
    SOTTO_TRY_VOID(trainer.set_state(loaded));
    return report;
  });
}

}  // namespace sotto::model
