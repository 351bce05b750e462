#include "model/adapter/lora.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/check.h"
#include "model/files/architecture.h"

namespace sotto::model {
namespace {

// * stands for any text, ? for any one character.
bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') return matches(pattern.substr(1), text) || (!text.empty() && matches(pattern, text.substr(1)));
  return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
         matches(pattern.substr(1), text.substr(1));
}

bool is_target(const std::string& path, const std::string& target) {
  return path.ends_with("." + target) || matches(target, path);
}

std::string megabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

std::string known_targets(const ModelConfig& config) {
  for (const auto& row : supported_architectures())
    if (row.architecture == config.architecture) return row.lora_targets;
  return "none";
}

Result<void> check_options(const ModelConfig& config, const LoraPlan& plan) {
  const auto wrong = [](const std::string& field, const std::string& value, const std::string& rule) {
    return invalid("lora." + field + " = " + value + ": " + rule);
  };
  if (plan.rank == 0) return wrong("rank", "0", "it must be at least 1");
  if (!(std::isfinite(plan.alpha) && plan.alpha > 0))
    return wrong("alpha", std::to_string(plan.alpha), "it must be above 0");
  if (!(plan.dropout >= 0 && plan.dropout < 1))
    return wrong("dropout", std::to_string(plan.dropout), "it must lie in [0, 1)");
  if (plan.targets.empty()) return wrong("targets", "[]", "name at least one linear layer, \"q_proj\" for example");
  if (plan.first_layer >= config.layers)
    return wrong("first_layer", std::to_string(plan.first_layer),
                 "the model's layers are 0 to " + std::to_string(config.layers - 1));
  if (plan.last_layer < plan.first_layer)
    return wrong("last_layer", std::to_string(plan.last_layer),
                 "it lies before first_layer, " + std::to_string(plan.first_layer));
  return {};
}

}  // namespace

std::vector<LoraModule> linear_modules(const ModelConfig& config) {
  const auto linears = layer_linears(config);
  std::vector<LoraModule> modules;
  for (std::uint32_t l = 0; l < config.layers; ++l)
    for (const auto& linear : linears)
      modules.push_back({layer_prefix(config, l) + linear.path, linear.in, linear.out, 0, 1.0});
  return modules;
}

Result<AdapterLayout> lora_layout(const ModelConfig& config, const LoraPlan& plan) {
  SOTTO_TRY_VOID(check_options(config, plan));
  const auto all = linear_modules(config);
  const std::size_t per_layer = all.size() / config.layers;
  const std::size_t first = plan.first_layer * per_layer;
  const std::size_t end = std::min<std::size_t>(std::uint64_t{plan.last_layer} + 1, config.layers) * per_layer;
  const std::vector<LoraModule> candidates(all.begin() + static_cast<std::ptrdiff_t>(first),
                                           all.begin() + static_cast<std::ptrdiff_t>(end));
  for (const auto& target : plan.targets)
    if (std::ranges::none_of(candidates, [&](const auto& module) { return is_target(module.path, target); }))
      return invalid("lora.targets: \"" + target + "\" matches no linear layer of layers " +
                     std::to_string(plan.first_layer) + " to " + std::to_string(end / per_layer - 1) + "; known are " +
                     known_targets(config));
  AdapterLayout layout;
  for (auto module : candidates) {
    if (std::ranges::none_of(plan.targets, [&](const auto& target) { return is_target(module.path, target); })) continue;
    if (plan.rank > std::min(module.in, module.out))
      return invalid("lora.rank = " + std::to_string(plan.rank) + ": larger than " + module.path + ", which is " +
                     std::to_string(module.out) + " by " + std::to_string(module.in));
    module.rank = plan.rank;
    module.scale = plan.rslora ? plan.alpha / std::sqrt(static_cast<double>(plan.rank)) : plan.alpha / plan.rank;
    layout.modules.push_back(module);
  }
  return layout;
}

Result<AdapterLayout> adapter_layout(const ModelConfig& config, const RunPlan& plan) {
  if (trains_lora(plan.trained)) return lora_layout(config, plan.lora);
  SOTTO_CHECK(plan.trained == TrainedPart::kPrompt);
  if (std::uint64_t{plan.prompt.tokens} + plan.max_tokens > config.max_positions)
    return invalid("prompt.tokens = " + std::to_string(plan.prompt.tokens) +
                   ": with training.max_tokens = " + std::to_string(plan.max_tokens) + " that is more than the model's " +
                   std::to_string(config.max_positions) + " positions");
  AdapterLayout layout;
  layout.prompt = {plan.prompt.tokens, config.hidden_size, plan.prompt.deviation};
  return layout;
}

AdapterState zero_adapter(const AdapterLayout& layout) {
  AdapterState state{layout, {}};
  state.prompt.resize(layout.trained_size(TrainedPart::kPrompt));
  for (const auto& m : layout.modules)
    state.factors.push_back(
        {std::vector<float>(std::size_t{m.rank} * m.in), std::vector<float>(std::size_t{m.out} * m.rank)});
  return state;
}

std::vector<float> trained_vector(const AdapterState& state, TrainedPart part) {
  std::vector<float> out;
  out.reserve(state.layout.trained_size(part));
  if (part == TrainedPart::kPrompt) return state.prompt;
  for (const auto& factor : state.factors) {
    if (part != TrainedPart::kB) out.insert(out.end(), factor.a.begin(), factor.a.end());
    if (part != TrainedPart::kA) out.insert(out.end(), factor.b.begin(), factor.b.end());
  }
  return out;
}

AdapterState with_trained(AdapterState state, TrainedPart part, std::span<const float> values) {
  SOTTO_CHECK(values.size() == state.layout.trained_size(part));
  const auto take = [&values](std::vector<float>& into) {
    std::copy_n(values.begin(), into.size(), into.begin());
    values = values.subspan(into.size());
  };
  for (auto& factor : state.factors) {
    if (part != TrainedPart::kB) take(factor.a);
    if (part != TrainedPart::kA) take(factor.b);
  }
  if (part == TrainedPart::kPrompt) take(state.prompt);
  return state;
}

double AdapterSummary::trained_percent() const {
  return 100.0 * static_cast<double>(trained_parameters) / static_cast<double>(model_parameters);
}

std::string AdapterSummary::text() const {
  char percent[32];
  std::snprintf(percent, sizeof percent, "%.3f", trained_percent());
  return std::to_string(trained_parameters) + " of " + std::to_string(model_parameters) + " parameters trained (" + percent +
         " %); adapter " + std::to_string(adapter_parameters) + " parameters, " + megabytes(adapter_bytes) +
         " against the model's " + megabytes(model_bytes);
}

AdapterSummary summarize(const ModelConfig& config, std::uint64_t model_bytes, const AdapterLayout& layout,
                         TrainedPart part) {
  AdapterSummary s;
  s.trained_parameters = layout.trained_size(part);
  s.adapter_parameters = layout.trained_size(TrainedPart::kAB) + layout.trained_size(TrainedPart::kPrompt);
  s.model_parameters = config.parameters();
  s.adapter_bytes = s.adapter_parameters * sizeof(float);
  s.model_bytes = model_bytes;
  return s;
}

}  // namespace sotto::model
