// Per-sample gradients against the reference implementation's and against differences of the loss. All through
// AdapterTrainer::clipped_sum and AdapterTrainer::add_gradients: what a client calls.
#include <map>

#include "model/adapter/lora.h"
#include "model/training/self_check.h"
#include "tests/model/training/gradient_case.h"

namespace sotto::model::gradients {
namespace {

// <prefix><PEFT's tensor name> of a file, in the update vector's order.
std::vector<float> in_update_order(const data::SafetensorsFile& file, const std::string& prefix, const AdapterLayout& layout,
                                   TrainedPart part) {
  std::vector<float> out;
  for (const auto& module : layout.modules)
    for (const std::string factor : {"A", "B"}) {
      if (factor == "A" && part == TrainedPart::kB) continue;
      const auto values = floats(file, prefix + "base_model.model." + module.path + ".lora_" + factor + ".weight");
      out.insert(out.end(), values.begin(), values.end());
    }
  return out;
}

}  // namespace

TEST_CASE("per-sample gradient norms are those of the reference, under mean and under sum loss", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto mean = unit_gradients(trainer, c.data), sum = unit_gradients(trainer, c.data, RecordLoss::kSum);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(norm(mean[i]) == Approx(c.expected.at("norm_mean").at(i).as_double()).epsilon(1e-4));
    CHECK(norm(sum[i]) == Approx(c.expected.at("norm_sum").at(i).as_double()).epsilon(1e-4));
  }
}

TEST_CASE("one sample's gradient is the reference's, entry for entry", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto ours = unit_gradients(trainer, c.data)[0];
  std::map<std::string, std::vector<float>> by_name;  // the reference joins the tensors in the order of their names
  std::size_t at = 0;
  for (const auto& module : trainer.layout().modules)
    for (const auto& [factor, size] : {std::pair{"A", module.rank * module.in}, std::pair{"B", module.out * module.rank}}) {
      by_name["base_model.model." + module.path + ".lora_" + factor + ".weight"] = {
          ours.begin() + static_cast<std::ptrdiff_t>(at), ours.begin() + static_cast<std::ptrdiff_t>(at + size)};
      at += size;
    }
  std::vector<float> joined;
  for (const auto& [name, values] : by_name) joined.insert(joined.end(), values.begin(), values.end());
  // The vectors' tolerance, 1e-5, on gradients with entries up to 5: 2e-6 of the largest.
  CHECK(largest_difference(joined, floats(c.file, "grad_sample0")) < 1e-5);
}

TEST_CASE("the clipped sum is the reference's, with A and B trained and with B alone, in fp32 and in bf16", "[model]") {
  const Case c;
  for (const auto precision : precisions())
    for (const std::string name : {"clipped_sum", "clipped_sum_median"}) {
      auto model = tiny_llama(precision);
      auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
      const double bound = c.expected.at(name == "clipped_sum" ? "C" : "C_median").as_double();
      // A grid so fine that the rounding of four units stays well below the vectors' tolerance of 1e-5.
      const privacy::Grid grid(privacy::ClipNorm(bound), trainer.dimension(), 2e-6);
      const auto sum = to_floats(trainer.clipped_sum(c.data, all_units(c.data), grid).value());
      const auto expected = in_update_order(c.file, name + ".", trainer.layout(), TrainedPart::kAB);
      INFO(name << (precision == Precision::kBf16 ? " bf16" : " fp32"));
      if (precision == Precision::kFp32)
        CHECK(largest_difference(sum, expected) < 1e-5);
      else
        CHECK(relative_difference(sum, expected) < 0.05);  // measured 0.02: 8 bits of each factor, two layers and back
    }
}

TEST_CASE("with B alone trained, its gradients are the same numbers", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto both = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto with_a = unit_gradients(both, c.data);
  auto only_b = AdapterTrainer::make(model, c.adapter, TrainedPart::kB).value();
  const auto without = unit_gradients(only_b, c.data);
  for (std::size_t unit = 0; unit < without.size(); ++unit) {
    std::vector<float> expected;
    std::size_t at = 0;
    for (const auto& m : c.adapter.layout.modules) {
      at += std::size_t{m.rank} * m.in;
      expected.insert(expected.end(), with_a[unit].begin() + static_cast<std::ptrdiff_t>(at),
                      with_a[unit].begin() + static_cast<std::ptrdiff_t>(at + std::size_t{m.out} * m.rank));
      at += std::size_t{m.out} * m.rank;
    }
    CHECK(without[unit] == expected);
  }
}

// Central differences of the evaluated loss along directions near the gradient, so that the slope is large (260): errors of
// 1e-6 in a loss near 9 are then 1e-6 of it at this step, and the third derivative adds some 1e-5. Measured 6e-5.
TEST_CASE("gradients agree with finite differences of the loss", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto gradient = unit_gradients(trainer, c.data)[1];
  const auto values = trained_vector(c.adapter, TrainedPart::kAB);
  const auto loss_at = [&](const std::vector<float>& at) {
    REQUIRE(model.set_adapter(with_trained(c.adapter, TrainedPart::kAB, at)).ok());
    const auto one = model.evaluate(std::span(&c.data.examples[1], 1)).value().front();
    return one.loss_sum / one.tokens;
  };
  FixedRandom random(11);
  for (int trial = 0; trial < 6; ++trial) {
    std::vector<float> direction(values.size());  // a random direction, of the gradient's own size in each entry
    double slope = 0, square = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      direction[i] = (random.bits64() & 1) == 0 ? gradient[i] : gradient[i] * 0.25F;
      square += static_cast<double>(direction[i]) * direction[i];
    }
    auto up = values, down = values;
    const double step = 2e-3 / std::sqrt(square);
    for (std::size_t i = 0; i < direction.size(); ++i) {
      slope += static_cast<double>(gradient[i]) * direction[i];
      up[i] += static_cast<float>(step * direction[i]);
      down[i] -= static_cast<float>(step * direction[i]);
    }
    CHECK((loss_at(up) - loss_at(down)) / (2 * step) == Approx(slope).epsilon(1e-3));
  }
}

// Longer than what attention works on together, with and without a sliding window and a soft cap. Losses are evaluated by
// another attention than training's.
TEST_CASE("a long record's gradient agrees with finite differences of the loss", "[model]") {
  const std::string name = GENERATE("llama", "mistral", "gemma2");
  auto model = LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kFp32, .threads = 1}).value();
  LoraPlan plan;
  plan.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  const auto adapter = scattered_adapter(model.config(), plan);
  const std::vector<std::uint32_t> lengths = {230};
  const auto data = random_data(lengths, 51);
  auto trainer = AdapterTrainer::make(model, adapter, TrainedPart::kAB).value();
  const auto gradient = unit_gradients(trainer, data)[0];
  const auto values = trained_vector(adapter, TrainedPart::kAB);
  const auto loss_at = [&](double step) {
    auto moved = values;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(step * static_cast<double>(gradient[i]));
    REQUIRE(model.set_adapter(with_trained(adapter, TrainedPart::kAB, moved)).ok());
    const auto one = model.evaluate(data.examples).value().front();
    return one.loss_sum / one.tokens;
  };
  const double length = norm(gradient), step = 2e-3 / length;
  INFO(name << ": gradient of length " << length);
  CHECK((loss_at(step) - loss_at(-step)) / (2 * step) == Approx(length * length).epsilon(2e-3));
}

// Loss and gradient with masks, as functions of the adapter: the same streams give the same function, so differences apply.
TEST_CASE("gradients under dropout agree with finite differences", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB, 0.5).value();
  const auto streams = SeededStreams().streams();
  const auto gradient = unit_gradients(trainer, c.data, RecordLoss::kSum, streams);
  const auto values = trained_vector(c.adapter, TrainedPart::kAB);
  const auto loss_at = [&](const std::vector<float>& at) {
    REQUIRE(trainer.set_adapter(with_trained(c.adapter, TrainedPart::kAB, at)).ok());
    CollectingSink sink(all_units(c.data), trainer.dimension());
    return trainer.add_gradients(c.data, sink, RecordLoss::kSum, streams).value().loss_sum;
  };
  std::vector<float> direction(values.size());
  for (const auto& unit : gradient)
    for (std::size_t i = 0; i < direction.size(); ++i) direction[i] += unit[i];
  const double slope = norm(direction) * norm(direction), step = 2e-3 / norm(direction);
  auto up = values, down = values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    up[i] += static_cast<float>(step) * direction[i];
    down[i] -= static_cast<float>(step) * direction[i];
  }
  CHECK((loss_at(up) - loss_at(down)) / (2 * step) == Approx(slope).epsilon(1e-3));
}

TEST_CASE("examples that cannot be trained on are named before a run", "[model]") {
  const Case c;
  auto model = tiny_llama();
  const auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kB).value();
  CHECK(trainer.check(c.data).ok());
  auto bad = c.data;
  bad.examples[2].ids[1] = 256;
  CHECK(trainer.check(bad).error().message.find("example 2") != std::string::npos);
  bad = c.data;
  for (auto& label : bad.examples[1].labels) label = data::kNoLabel;
  CHECK(trainer.check(bad).error().message.find("example 1") != std::string::npos);
}

TEST_CASE("the self-check passes on this machine, for B alone and for A and B, in fp32 and in bf16", "[model]") {
  for (const auto precision : precisions())
    for (const auto part : {TrainedPart::kB, TrainedPart::kAB}) {
      auto model = tiny_llama(precision);
      LoraPlan plan;
      plan.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
      const auto layout = lora_layout(model.config(), plan).value();
      FixedRandom random(21);
      const auto report = self_check(model, layout, part, privacy::ClipNorm(0.3), random);
      REQUIRE(report.ok());
      INFO(report->text());
      CHECK(report->relative_difference < report->tolerance);
      CHECK(report->relative_difference > 0);
    }
}

}  // namespace sotto::model::gradients
