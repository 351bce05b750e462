// Layers on several devices. Without a second device there are two stand-ins: the CPU twice, which gives numbers, and a
// "meta" device, which has none but refuses every operation on tensors of two devices. (It has no kernel for LibTorch's own
// attention, which models with a soft cap do not use.)
#include "model/network/placement.h"

#include "model/adapter/lora.h"
#include "model/network/transformer.h"
#include "model/training/adapter_trainer.h"
#include "tests/model/vectors.h"

namespace sotto::model {
namespace {

using Places = std::vector<std::size_t>;

AdapterState adapter_for(const ModelConfig& config) {
  LoraPlan plan;
  plan.rank = 2;
  plan.targets = {"q_proj", "down_proj"};
  return scattered_adapter(config, plan);
}

}  // namespace

TEST_CASE("layers are cut into runs by the devices' room, embeddings and head counted", "[model]") {
  const std::vector<std::uint64_t> four = {10, 10, 10, 10};
  CHECK(place_layers({0, four, 0}, std::vector{1.0}) == Places{0, 0, 0, 0});
  CHECK(place_layers({0, four, 0}, std::vector{1.0, 1.0}) == Places{0, 0, 1, 1});
  CHECK(place_layers({0, four, 0}, std::vector{3.0, 1.0}) == Places{0, 0, 0, 1});
  CHECK(place_layers({20, four, 0}, std::vector{1.0, 1.0}) == Places{0, 1, 1, 1});
  CHECK(place_layers({0, four, 20}, std::vector{1.0, 1.0}) == Places{0, 0, 0, 1});
  CHECK(place_layers({0, four, 0}, std::vector{1.0, 1.0, 1.0, 1.0}) == Places{0, 1, 2, 3});
  CHECK(place_layers({0, {10}, 0}, std::vector{1.0, 1.0}).size() == 1);
  CHECK(place_layers({100, four, 0}, std::vector{1.0, 1.0, 1.0}) == Places{2, 2, 2, 2});  // one may stay without a layer
}

TEST_CASE("a model in two places gives the bits that it gives in one: logits, text, a clipped sum", "[model]") {
  const auto path = vector_path("tiny/llama");
  const auto file = read_safetensors("dp/expected.safetensors");
  const auto data = data_set(file, "");
  const std::vector<std::int32_t> ids = {5, 17, 3, 99, 42};
  const std::vector<std::uint32_t> rows = {0, 4};
  const std::vector<std::vector<std::int32_t>> prompts = {ids};
  std::vector<std::vector<float>> logits;
  std::vector<std::vector<std::vector<std::int32_t>>> texts;
  std::vector<std::vector<std::int64_t>> sums;
  for (const std::string device : {"cpu", "cpu,cpu"}) {
    auto model = LanguageModel::load(path, {.device = device, .precision = Precision::kFp32, .threads = 1}).value();
    auto trainer = AdapterTrainer::make(model, adapter_for(model.config()), TrainedPart::kAB).value();
    const privacy::Grid grid(privacy::ClipNorm(1.0), trainer.dimension());
    const auto sum = trainer.clipped_sum(data, all_units(data), grid).value();
    sums.emplace_back(sum.reveal_without_noise().begin(), sum.reveal_without_noise().end());
    logits.push_back(model.logits(ids, rows).value());
    texts.push_back(model.generate(prompts, {.max_new_tokens = 5, .stop_ids = {}, .sampling = {}}).value());
  }
  CHECK(logits[0] == logits[1]);
  CHECK(texts[0] == texts[1]);
  CHECK(sums[0] == sums[1]);
}

TEST_CASE("everything that a layer meets lies on its own device, in scoring and in a training pass", "[model]") {
  for (const bool keeps_blocks : {false, true}) {
    auto opened = Checkpoint::open(vector_path("tiny_gguf/gemma2.gguf")).value();
    const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
    const auto weights = load_weights(checkpoint, {at::kFloat, {at::Device(at::kCPU), at::Device(at::kMeta)}, keeps_blocks});
    REQUIRE(weights.layers.front().device == at::Device(at::kCPU));
    REQUIRE(weights.layers.back().device == at::Device(at::kMeta));
    const auto adapter = put_on_device(adapter_for(weights.config), TrainedPart::kAB, weights);
    const std::vector<std::int32_t> ids = {5, 17, 3, 99, 42};
    const std::span<const std::int32_t> sequence = ids;
    const std::uint32_t start = 0;
    const auto pass = make_pass({32, {{0, 0, 5}}}, std::span(&sequence, 1), std::span(&start, 1), weights);
    const at::Tensor scored = final_hidden(weights, &adapter, pass);
    CHECK(scored.is_meta());
    TrainingPass training;
    training.gradients = c10::make_intrusive<SequenceGradients>();
    training.gradients->anchor = at::zeros({1}).set_requires_grad(true);
    const at::Tensor trained = final_hidden(weights, &adapter, pass, &training);
    CHECK(trained.is_meta());
    CHECK(trained.requires_grad());
    CHECK(trained.size(0) == 32);
  }
}

TEST_CASE("a list of devices is refused by the name of the one that is not there", "[model]") {
  for (const std::string device : {"cpu,tpu", "cpu,", ",cpu", "cpu;cpu"}) {
    const auto loaded = LanguageModel::load(vector_path("tiny/llama"), {.device = device});
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().message.find("must be \"cpu\" or \"cuda:N\"") != std::string::npos);
  }
}

}  // namespace sotto::model
