// The real model, which the set-up brings: a test that needs it fails where it is absent.
#include <filesystem>

#include "base/log.h"
#include "model/adapter/lora.h"
#include "model/files/checkpoint.h"
#include "model/training/self_check.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"

namespace sotto::model {
namespace {

std::string model_path() { return std::string(SOTTO_SOURCE) + "/.deps/model/SmolLM2-135M-Instruct.Q4_1.gguf"; }

std::vector<std::int32_t> int_list(const Json& json) {
  std::vector<std::int32_t> out;
  for (const auto& v : json.items()) out.push_back(static_cast<std::int32_t>(v.as_int()));
  return out;
}

}  // namespace

TEST_CASE("the real model's tensors are those of the reference's reader, in Hugging Face's row order", "[model]") {
  const auto checkpoint = Checkpoint::open(model_path()).value();
  const auto expected = read_json("smollm2/tensors.json");
  std::size_t compared = 0;
  for (const auto& tensor : expected.at("tensors").items()) {
    const auto values = checkpoint.read(tensor.at("hf_name").as_string());
    INFO(tensor.at("hf_name").as_string());
    double sum = 0, abs_sum = 0;
    for (const float v : values) sum += static_cast<double>(v), abs_sum += std::abs(static_cast<double>(v));
    CHECK(sum / static_cast<double>(values.size()) == Approx(tensor.at("mean").as_double()).epsilon(1e-9).margin(1e-12));
    CHECK(abs_sum == Approx(tensor.at("abs_sum").as_double()).epsilon(1e-9));
    const auto& index = tensor.at("index").items();
    for (std::size_t i = 0; i < index.size(); ++i)
      CHECK(values.at(static_cast<std::size_t>(index[i].as_int())) ==
            static_cast<float>(tensor.at("hf_at").at(i).as_double()));
    ++compared;
  }
  CHECK(compared > 100);
}

TEST_CASE("the real model gives the reference's logits, likelihoods and greedy continuations in fp32", "[model]") {
  const auto model = LanguageModel::load(model_path(), {.precision = Precision::kFp32, .threads = 1}).value();
  CHECK(model.config().parameters() == 134515008);
  const auto expected = read_json("smollm2/logits.json");
  const double tolerance = expected.at("tolerance").at("logit_abs").as_double();  // 2e-3
  for (const auto& c : expected.at("cases").items()) {
    const auto ids = int_list(c.at("ids"));
    const auto logits = model.logits(ids, std::vector{static_cast<std::uint32_t>(ids.size() - 1)}).value();
    for (const auto& pair : c.at("top20").items())
      CHECK(logits.at(static_cast<std::size_t>(pair.at(std::size_t{0}).as_int())) ==
            Approx(pair.at(std::size_t{1}).as_double()).margin(tolerance));
    const auto scores = model.score(ids, 20).value();
    const auto& logprobs = c.at("token_logprobs").items();
    REQUIRE(scores.token_logprobs.size() == logprobs.size());
    for (std::size_t i = 0; i < logprobs.size(); ++i)
      CHECK(scores.token_logprobs[i] == Approx(logprobs[i].as_double()).margin(tolerance));
    CHECK(scores.total == Approx(c.at("loglik").as_double()).margin(tolerance * static_cast<double>(logprobs.size())));
    if (c.find("greedy") == nullptr || !c.at("greedy").is_array()) continue;
    const auto greedy = int_list(c.at("greedy"));
    const auto made =
        model
            .generate(std::vector<std::vector<std::int32_t>>{ids},
                      {.max_new_tokens = static_cast<std::uint32_t>(greedy.size()), .stop_ids = {}, .sampling = {}})
            .value()
            .front();
    for (std::size_t i = 0; i < greedy.size(); ++i) {
      if (made.at(i) == greedy[i]) continue;
      CHECK(c.at("greedy_margins").at(i).as_double() <
            1e-3);  // a tie-like gap excuses a difference, and all that follows from it
      break;
    }
  }
}

TEST_CASE("the demo's adapter on the real model trains what it says, and passes the self-check in the demo's precision",
          "[model]") {
  auto model = LanguageModel::load(model_path(), {.threads = 1}).value();
  LoraPlan plan;
  plan.rank = 4;
  plan.alpha = 8;
  plan.targets = {"q_proj", "v_proj", "o_proj", "down_proj"};
  plan.first_layer = 15;
  const auto layout = lora_layout(model.config(), plan).value();
  CHECK(summarize(model.config(), model.weight_bytes(), layout, TrainedPart::kB).trained_parameters == 115200);
  FixedRandom random(2);
  const auto report = self_check(model, layout, TrainedPart::kB, privacy::ClipNorm(0.3), random);
  INFO((report.ok() ? report->text() : report.error().message));
  CHECK(report.ok());
}

TEST_CASE("a soft prompt of the real model passes the self-check in the demo's precision", "[model]") {
  auto model = LanguageModel::load(model_path(), {.threads = 1}).value();
  AdapterLayout layout;
  layout.prompt = {16, model.config().hidden_size, 0.1};
  FixedRandom random(4);
  const auto report = self_check(model, layout, TrainedPart::kPrompt, privacy::ClipNorm(0.3), random);
  INFO((report.ok() ? report->text() : report.error().message));
  CHECK(report.ok());
}

}  // namespace sotto::model
