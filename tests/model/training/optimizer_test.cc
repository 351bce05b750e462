#include "model/training/optimizer.h"

#include <cmath>

#include "tests/model/vectors.h"

namespace sotto::model {

TEST_CASE("learning rates follow warm-up and cosine as the reference's", "[model]") {
  const auto expected = read_json("train/expected.json");
  const auto& hyper = expected.at("hyper");
  OptimizerPlan plan;
  plan.learning_rate = hyper.at("lr").as_double();
  plan.warmup_steps = static_cast<std::uint32_t>(hyper.at("warmup_steps").as_int());
  plan.schedule = Schedule::kCosine;
  plan.min_lr_ratio = hyper.at("min_lr_ratio").as_double();
  for (const auto& step : expected.at("steps").items())
    CHECK(learning_rate(plan, static_cast<std::uint64_t>(step.at("step").as_int()), 5) ==
          Approx(step.at("lr").as_double()).epsilon(1e-12));
  CHECK(learning_rate(plan, 5, 5) == Approx(0.1 * plan.learning_rate));
  CHECK(learning_rate(plan, 500, 5) == Approx(0.1 * plan.learning_rate));
  plan.schedule = Schedule::kConstant;
  CHECK(learning_rate(plan, 4, 5) == plan.learning_rate);
  plan.warmup_steps = 9;
  CHECK(learning_rate(plan, 4, 5) == Approx(plan.learning_rate * 5 / 9));
}

// Worked out by hand: with g constant, bias-corrected moments are g and g^2, so each step moves by lr g / (|g| + eps).
TEST_CASE("AdamW moves by the learning rate along a constant gradient, and decays on its own", "[model]") {
  OptimizerPlan plan;
  plan.weight_decay = 0.5;
  Optimizer optimizer(plan, 2);
  std::vector<float> p = {1.0F, -2.0F};
  const std::vector<float> g = {0.25F, -4.0F};
  optimizer.step(p, g, 0.1);
  CHECK(p[0] == Approx(1.0 * 0.95 - 0.1));
  CHECK(p[1] == Approx(-2.0 * 0.95 + 0.1));
  optimizer.step(p, g, 0.1);
  CHECK(p[0] == Approx((1.0 * 0.95 - 0.1) * 0.95 - 0.1));
}

TEST_CASE("after a reset the optimizer is as new", "[model]") {
  for (const auto kind : {OptimizerKind::kAdamW, OptimizerKind::kSgd}) {
    OptimizerPlan plan;
    plan.kind = kind;
    Optimizer used(plan, 1), fresh(plan, 1);
    std::vector<float> p = {0.0F}, q = {0.0F};
    used.step(p, std::vector{3.0F}, 0.1);
    used.reset();
    p = {0.0F};
    used.step(p, std::vector{-0.5F}, 0.01);
    fresh.step(q, std::vector{-0.5F}, 0.01);
    CHECK(p == q);
  }
}

TEST_CASE("SGD subtracts the gradient, with decoupled decay", "[model]") {
  OptimizerPlan plan;
  plan.kind = OptimizerKind::kSgd;
  plan.weight_decay = 0.1;
  Optimizer optimizer(plan, 2);
  std::vector<float> p = {1.0F, 2.0F};
  optimizer.step(p, std::vector{0.5F, -0.5F}, 0.1);
  CHECK(p[0] == Approx(1.0 * 0.99 - 0.05));
  CHECK(p[1] == Approx(2.0 * 0.99 + 0.05));
}

TEST_CASE("the global norm is cut to its bound and never stretched", "[model]") {
  std::vector<float> g = {3.0F, 4.0F};
  CHECK(clip_global_norm(g, 1.0) == Approx(5.0));
  CHECK(norm(g) == Approx(1.0));
  std::vector<float> small = {0.3F, 0.4F};
  CHECK(clip_global_norm(small, 1.0) == Approx(0.5));
  CHECK(small == std::vector{0.3F, 0.4F});
}

}  // namespace sotto::model
