// Whole training steps against the reference implementation's.
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "model/training/adapter_trainer.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

std::vector<float> expected_parameters(const data::SafetensorsFile& file, const std::string& prefix,
                                       const AdapterLayout& layout) {
  std::vector<float> out;
  for (const auto& module : layout.modules)
    for (const std::string factor : {"A", "B"}) {
      const auto values = floats(file, prefix + "base_model.model." + module.path + ".lora_" + factor + ".weight");
      out.insert(out.end(), values.begin(), values.end());
    }
  return out;
}

}  // namespace

TEST_CASE("AdamW on clipped sums ends where the reference ends after one and three steps", "[model]") {
  const auto file = read_safetensors("dp/expected.safetensors");
  const auto expected = read_json("dp/expected.json");
  const auto data = data_set(file, "");
  auto model = tiny_llama();
  auto trainer =
      AdapterTrainer::make(model, load_peft_folder(vector_path("dp/adapter"), model.config()).value().lora, TrainedPart::kAB)
          .value();
  const auto& adamw = expected.at("adamw");
  OptimizerPlan plan;
  plan.beta1 = adamw.at("betas").at(std::size_t{0}).as_double();
  plan.beta2 = adamw.at("betas").at(std::size_t{1}).as_double();
  plan.epsilon = adamw.at("eps").as_double();
  plan.weight_decay = adamw.at("weight_decay").as_double();
  Optimizer optimizer(plan, trainer.dimension());
  // AdamW's first steps divide by |g|: a gradient entry near zero is moved by the whole learning rate in the direction of
  // its sign, so the grid has to resolve the smallest entries.
  const privacy::Grid grid(privacy::ClipNorm(expected.at("C").as_double()), trainer.dimension(), 2e-6);
  for (int step = 1; step <= 3; ++step) {
    const auto sum = trainer.clipped_sum(data, all_units(data), grid).value();
    std::vector<float> mean;
    for (const auto v : sum.reveal_without_noise())
      mean.push_back(static_cast<float>(static_cast<double>(v) * grid.step() / 4));
    trainer.step(optimizer, mean, adamw.at("lr").as_double());
    if (step == 2) continue;
    const auto reference = expected_parameters(file, "adamw_step" + std::to_string(step) + ".", trainer.layout());
    CHECK(largest_difference(trained_vector(trainer.adapter(), TrainedPart::kAB), reference) <
          5e-5);  // the vectors' tolerance
  }
}

TEST_CASE("five plain training steps give the reference's losses, norms and adapter", "[model]") {
  const auto expected = read_json("train/expected.json");
  const auto batches = read_safetensors("train/batches.safetensors");
  const auto& hyper = expected.at("hyper");
  OptimizerPlan plan;
  plan.learning_rate = hyper.at("lr").as_double();
  plan.beta1 = hyper.at("betas").at(std::size_t{0}).as_double();
  plan.beta2 = hyper.at("betas").at(std::size_t{1}).as_double();
  plan.epsilon = hyper.at("eps").as_double();
  plan.weight_decay = hyper.at("weight_decay").as_double();
  plan.warmup_steps = static_cast<std::uint32_t>(hyper.at("warmup_steps").as_int());
  plan.schedule = Schedule::kCosine;
  plan.min_lr_ratio = hyper.at("min_lr_ratio").as_double();
  auto model = tiny_llama();
  auto trainer =
      AdapterTrainer::make(model, load_peft_folder(vector_path("train/adapter_start"), model.config()).value().lora,
                           TrainedPart::kAB)
          .value();
  Optimizer optimizer(plan, trainer.dimension());
  for (const auto& step : expected.at("steps").items()) {
    const auto k = static_cast<std::uint64_t>(step.at("step").as_int());
    const auto data = data_set(batches, "batch" + std::to_string(k) + ".");
    CollectingSink sink(all_units(data), trainer.dimension());
    const auto loss = trainer.add_gradients(data, sink, RecordLoss::kSum).value();
    CHECK(loss.tokens == static_cast<std::uint64_t>(step.at("response_tokens").as_int()));
    CHECK(loss.loss_sum / static_cast<double>(loss.tokens) == Approx(step.at("loss").as_double()).margin(2e-4));
    std::vector<float> mean(trainer.dimension());
    for (const auto& unit : sink.gradients)
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += unit[i] / static_cast<float>(loss.tokens);
    CHECK(clip_global_norm(mean, hyper.at("max_grad_norm").as_double()) ==
          Approx(step.at("grad_norm_before_clip").as_double()).epsilon(1e-3));
    trainer.step(optimizer, mean, learning_rate(plan, k, 5));
  }
  const auto end = load_peft_folder(vector_path("train/adapter_end"), model.config()).value().lora;
  CHECK(largest_difference(trained_vector(trainer.adapter(), TrainedPart::kAB), trained_vector(end, TrainedPart::kAB)) <
        2e-4);
  const auto first = data_set(batches, "batch0.");
  double loss_sum = 0;
  std::uint64_t tokens = 0;
  const auto losses = model.evaluate(first.examples).value();
  for (const auto& one : losses) loss_sum += one.loss_sum, tokens += one.tokens;
  CHECK(loss_sum / static_cast<double>(tokens) == Approx(expected.at("final_loss_batch0").as_double()).margin(2e-4));
}

TEST_CASE("training without privacy sums the same gradients unclipped", "[model]") {
  const auto file = read_safetensors("dp/expected.safetensors");
  const auto data = data_set(file, "");
  auto model = tiny_llama();
  auto trainer =
      AdapterTrainer::make(model, load_peft_folder(vector_path("dp/adapter"), model.config()).value().lora, TrainedPart::kB)
          .value();
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean).ok());
  std::vector<float> mean(trainer.dimension());
  for (const auto& unit : sink.gradients)
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += unit[i] / 4;
  const auto sum = privacy::NonPrivateSum(trainer.unclipped_sum(data, all_units(data)).value());
  CHECK(relative_difference(sum.mean(privacy::ExpectedBatch(privacy::SamplingRate(1.0), 4)), mean) < 1e-6);
}

TEST_CASE("a trainer starts a round from the adapter it is given and refuses another layout", "[model]") {
  auto model = tiny_llama();
  const auto start = load_peft_folder(vector_path("dp/adapter"), model.config()).value().lora;
  auto trainer = AdapterTrainer::make(model, start, TrainedPart::kB).value();
  OptimizerPlan plan;
  Optimizer optimizer(plan, trainer.dimension());
  trainer.step(optimizer, std::vector<float>(trainer.dimension(), 1.0F), 0.01);
  CHECK(trainer.adapter().lora.factors[0].a == start.factors[0].a);
  CHECK(trainer.adapter().lora.factors[0].b[0] == Approx(start.factors[0].b[0] - 0.01F));
  REQUIRE(trainer.set_adapter(start).ok());
  CHECK(trainer.adapter().lora == start);
  auto fewer = start;
  fewer.layout.modules.pop_back();
  fewer.factors.pop_back();
  CHECK_FALSE(trainer.set_adapter(fewer).ok());
  CHECK_FALSE(AdapterTrainer::make(model, start, TrainedPart::kB, 1.0).ok());
}

}  // namespace sotto::model
