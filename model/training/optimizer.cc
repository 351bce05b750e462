#include "model/training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace sotto::model {

double learning_rate(const OptimizerPlan& plan, std::uint64_t step, std::uint64_t total_steps) {
  const std::uint64_t warmup = plan.warmup_steps;
  if (step < warmup) return plan.learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (plan.schedule == Schedule::kConstant || total_steps <= warmup) return plan.learning_rate;
  const double p = std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(total_steps - warmup));
  const double m = plan.min_lr_ratio;
  return plan.learning_rate * (m + (1 - m) * 0.5 * (1 + std::cos(std::numbers::pi * p)));
}

Optimizer::Optimizer(const OptimizerPlan& plan, std::size_t size) : plan_(plan) {
  if (plan.kind == OptimizerKind::kAdamW) {
    state_.first.assign(size, 0.0F);
    state_.second.assign(size, 0.0F);
  }
}

void Optimizer::step(std::span<float> parameters, std::span<const float> gradient, double lr) {
  SOTTO_CHECK(parameters.size() == gradient.size());
  ++state_.steps;
  const auto kept = static_cast<float>(1 - lr * plan_.weight_decay);
  if (plan_.kind == OptimizerKind::kSgd) {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i] = parameters[i] * kept - static_cast<float>(lr) * gradient[i];
    return;
  }
  SOTTO_CHECK(parameters.size() == state_.first.size());
  const double t = static_cast<double>(state_.steps);
  const double correction1 = 1 - std::pow(plan_.beta1, t), correction2 = 1 - std::pow(plan_.beta2, t);
  const auto beta1 = static_cast<float>(plan_.beta1), beta2 = static_cast<float>(plan_.beta2);
  const auto size = static_cast<float>(lr / correction1), root2 = static_cast<float>(std::sqrt(correction2));
  const auto eps = static_cast<float>(plan_.epsilon);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const float g = gradient[i];
    state_.first[i] += (1 - beta1) * (g - state_.first[i]);
    state_.second[i] = beta2 * state_.second[i] + (1 - beta2) * g * g;
    parameters[i] = parameters[i] * kept - size * state_.first[i] / (std::sqrt(state_.second[i]) / root2 + eps);
  }
}

void Optimizer::reset() {
  std::ranges::fill(state_.first, 0.0F);
  std::ranges::fill(state_.second, 0.0F);
  state_.steps = 0;
}

Result<void> Optimizer::restore(OptimizerState state) {
  if (state.first.size() != state_.first.size() || state.second.size() != state_.second.size())
    return invalid("the stored moments are of " + std::to_string(state.first.size()) + " numbers, and " +
                   std::to_string(state_.first.size()) + " are trained");
  state_ = std::move(state);
  return {};
}

double clip_global_norm(std::span<float> gradient, double max_norm) {
  double square = 0;
  for (const float g : gradient) square += static_cast<double>(g) * g;
  const double norm = std::sqrt(square);
  const double factor = max_norm / (norm + 1e-6);
  if (factor < 1)
    for (float& g : gradient) g *= static_cast<float>(factor);
  return norm;
}

}  // namespace sotto::model
