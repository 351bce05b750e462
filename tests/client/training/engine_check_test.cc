// What stands before the first private record, on builds and plans that must not go past it.
#include "client/training/engine_check.h"

#include <algorithm>

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::client;

namespace {

class Zeros final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, std::uint8_t{0}); }
};

RunPlan some_plan() {
  RunPlan plan;
  plan.run = RunId("check");
  plan.precision = Precision::kFp32;
  plan.lora.rank = 2;
  plan.lora.targets = {"q_proj", "down_proj"};
  plan.rounds = 3;
  plan.expected_batch = 5;
  plan.max_tokens = 96;
  plan.sites = {{"alone", 40, 0.125, 1.0, 1.0}};
  return plan;
}

std::string why(const RunPlan& plan, RandomSource& random) {
  auto model = model::LanguageModel::load(SOTTO_VECTORS "/fixture", {"cpu", plan.precision, 1}).value();
  const auto checked = check_engine(plan, plan.sites.front(), model, random);
  return checked.ok() ? "" : checked.error().message;
}

}  // namespace

TEST_CASE("noise without spread is found before the first record, independent noise and correlated noise alike",
          "[client]") {
  RunPlan plan = some_plan();
  for (const auto noise :
       {privacy::CorrelationKind::kIndependent, privacy::CorrelationKind::kBanded, privacy::CorrelationKind::kBlt}) {
    plan.step.noise = noise;
    plan.step.sampling = noise == privacy::CorrelationKind::kIndependent ? privacy::SamplingKind::kPoisson
                                                                         : privacy::SamplingKind::kMinSeparation;
    plan.step.bands = noise == privacy::CorrelationKind::kIndependent ? 0 : 4;
    FixedRandom random(4);
    CHECK(why(plan, random) == "");
    Zeros zeros;
    CHECK(why(plan, zeros).starts_with("the noise that this machine draws has 0.000000 times the stated deviation"));
  }
}

TEST_CASE("a clip norm far above all gradients and records longer than the model takes are refused by value", "[client]") {
  FixedRandom random(5);
  RunPlan plan = some_plan();
  for (const double clip : {0.01, 10.0, 30.0}) {
    plan.clip_norm = clip;
    CHECK(why(plan, random) == "");
  }
  for (const double clip : {1e4, 1e12}) {
    plan.clip_norm = clip;
    CHECK(why(plan, random).find(clip == 1e4 ? "privacy.clip_norm = 10000 is far above" : "privacy.clip_norm = 1e+12") !=
          std::string::npos);
  }
  for (const bool privacy : {true, false}) {
    plan = some_plan();
    plan.privacy = privacy;
    plan.max_tokens = 257;
    CHECK(why(plan, random).find("training.max_tokens = 257 is more than the 256 tokens that this model takes") !=
          std::string::npos);
    plan.max_tokens = 250;
    plan.trained = TrainedPart::kPrompt;
    plan.prompt.tokens = 7;
    CHECK(why(plan, random).find("training.max_tokens = 250 and prompt.tokens = 7 are more than the 256") !=
          std::string::npos);
    plan.prompt.tokens = 6;
    CHECK(why(plan, random) == "");
  }
}
