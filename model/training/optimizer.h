// Optimizers over one flat vector of trained numbers, and learning-rate schedules. Plain arithmetic, no tensors, equal to
// torch.optim's on the same gradients (moments in fp32, scalars in fp64). What follows a step's noise is post-processing:
// nothing here sees a record. Not thread-safe. AdamW: Loshchilov, Hutter 2019, arXiv 1711.05101, algorithm 2, with Adam's
// bias correction (arXiv 1412.6980, algorithm 1).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "plan/run_plan.h"

namespace sotto::model {

// step counts from 0. Below warmup_steps: lr (step + 1) / warmup_steps. Then constant, or a cosine: with m = min_lr_ratio
// and p = (step - warmup) / (total - warmup), at most 1, lr (m + (1 - m) (1 + cos(pi p)) / 2).
double learning_rate(const OptimizerPlan& plan, std::uint64_t step, std::uint64_t total_steps);

struct OptimizerState {
  std::vector<float> first;   // exponential mean of the gradients (AdamW)
  std::vector<float> second;  // exponential mean of their squares (AdamW)
  std::uint64_t steps = 0;
};

class Optimizer {
 public:
  Optimizer(const OptimizerPlan& plan, std::size_t size);

  // One step with `gradient` (a mean) at learning rate `lr`. Both spans have the size given at construction. Weight decay is
  // decoupled for both kinds: p -= lr * weight_decay * p before the step.
  void step(std::span<float> parameters, std::span<const float> gradient, double lr);

  // Moments and step count, to go on from later.
  const OptimizerState& state() const { return state_; }
  // Refused unless its sizes are those of this optimizer.
  Result<void> restore(OptimizerState state);

  // Forgets moments and step count: when the parameters' basis was changed from outside.
  void reset();

 private:
  OptimizerPlan plan_;
  OptimizerState state_;
};

// Scales `gradient` to an L2 norm of at most max_norm, by max_norm / (norm + 1e-6) where that is below 1, as torch's
// clip_grad_norm_; returns the norm before. For runs without privacy: under privacy each unit is clipped on its own.
double clip_global_norm(std::span<float> gradient, double max_norm);

}  // namespace sotto::model
