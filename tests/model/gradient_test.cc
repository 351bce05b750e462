// Per-sample gradients against the reference implementation's and against each other. All through Trainer::clipped_sum and
// Trainer::add_gradients: what a client calls.
#include <map>

#include "model/lora.h"
#include "model/peft_folder.h"
#include "model/self_check.h"
#include "model/trainer.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"

namespace sotto::model {
namespace {

// bf16 where the CPU has it, always fp32.
std::vector<Precision> precisions() {
  std::vector<Precision> all = {Precision::kFp32};
  if (LanguageModel::load(vector_path("tiny/llama"), {.precision = Precision::kBf16, .threads = 1}).ok())
    all.push_back(Precision::kBf16);
  return all;
}

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

std::vector<float> to_floats(const privacy::ClippedSum& sum) {
  std::vector<float> out;
  for (const auto v : sum.reveal_without_noise())
    out.push_back(static_cast<float>(static_cast<double>(v) * sum.grid().step()));
  return out;
}

struct Case {
  data::SafetensorsFile file = read_safetensors("dp/expected.safetensors");
  Json expected = read_json("dp/expected.json");
  data::DataSet data = data_set(file, "");
  AdapterState adapter = load_peft_folder(vector_path("dp/adapter"), tiny_llama().config()).value().lora;
};

std::vector<std::vector<float>> unit_gradients(Trainer& trainer, const data::DataSet& data,
                                               RecordLoss loss = RecordLoss::kMean, const DropoutStreams& streams = {}) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, loss, streams).ok());
  return sink.gradients;
}

// Examples of random tokens with `lengths`, one a unit.
data::DataSet random_data(std::span<const std::uint32_t> lengths, std::uint64_t seed) {
  FixedRandom random(seed);
  data::DataSet data;
  for (const auto length : lengths) {
    data::Example example;
    for (std::uint32_t t = 0; t < length; ++t) {
      example.ids.push_back(static_cast<std::int32_t>(random.below(256)));
      example.labels.push_back(t >= 1 && t + 6 > length ? example.ids.back() : data::kNoLabel);
    }
    data.units.push_back({"", {static_cast<std::uint32_t>(data.examples.size())}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

class SeededStreams {
 public:
  DropoutStreams streams() const {
    return [](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) {
      return std::make_unique<FixedRandom>(unit * 1000003ULL + record * 1009 + layer);
    };
  }
};

}  // namespace

TEST_CASE("per-sample gradient norms are those of the reference, under mean and under sum loss", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto mean = unit_gradients(trainer, c.data), sum = unit_gradients(trainer, c.data, RecordLoss::kSum);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(norm(mean[i]) == Approx(c.expected.at("norm_mean").at(i).as_double()).epsilon(1e-4));
    CHECK(norm(sum[i]) == Approx(c.expected.at("norm_sum").at(i).as_double()).epsilon(1e-4));
  }
}

TEST_CASE("one sample's gradient is the reference's, entry for entry", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
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
      auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
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
  auto both = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto with_a = unit_gradients(both, c.data);
  auto only_b = Trainer::make(model, c.adapter, TrainedPart::kB).value();
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

TEST_CASE("a clipped sum of many is the sum of the clipped sums of each alone, integer for integer", "[model]") {
  const Case c;
  for (const auto precision : precisions()) {
    auto model = tiny_llama(precision);
    auto trainer = Trainer::make(model, c.adapter, TrainedPart::kB).value();
    const privacy::Grid grid(privacy::ClipNorm(0.5), trainer.dimension());
    const auto together = trainer.clipped_sum(c.data, all_units(c.data), grid).value();
    std::vector<std::int64_t> sum(trainer.dimension());
    for (const auto& unit : c.data.units) {
      data::DataSet alone = c.data;
      alone.units = {unit};
      const auto one = trainer.clipped_sum(alone, all_units(alone), grid).value();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one.reveal_without_noise()[i];
    }
    CHECK(together.reveal_without_noise() == sum);
  }
}

TEST_CASE("two batches that differ by one unit differ by exactly that unit's vector, whoever shares its pass", "[model]") {
  const Case c;
  for (const auto precision : precisions()) {
    auto model = tiny_llama(precision);
    auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
    const privacy::Grid grid(privacy::ClipNorm(0.5), trainer.dimension());
    const std::vector<std::uint32_t> lengths = {31, 90, 17, 64, 120, 5, 77, 33, 250, 18, 48, 2};
    const auto data = random_data(lengths, 5);
    const auto all = trainer.clipped_sum(data, all_units(data), grid).value();
    for (std::size_t left_out = 0; left_out < data.units.size(); ++left_out) {
      data::DataSet others = data, alone = data;
      others.units.erase(others.units.begin() + static_cast<std::ptrdiff_t>(left_out));
      alone.units = {data.units[left_out]};
      const auto without = trainer.clipped_sum(others, all_units(others), grid).value();
      const auto one = trainer.clipped_sum(alone, all_units(alone), grid).value();
      std::vector<std::int64_t> difference(grid.dimension());
      for (std::size_t i = 0; i < difference.size(); ++i)
        difference[i] = all.reveal_without_noise()[i] - without.reveal_without_noise()[i];
      CHECK(difference == one.reveal_without_noise());
    }
  }
}

TEST_CASE("a unit's gradient is the same bits in every place of a pass, with any companions, at one thread and at two",
          "[model]") {
  const Case c;
  for (const auto precision : precisions()) {
    const std::vector<std::uint32_t> length = {37};
    const auto unit = random_data(length, 9);
    std::vector<float> reference;
    for (const int threads : {1, 2}) {
      auto model = tiny_llama(precision, threads);
      auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
      const auto alone = unit_gradients(trainer, unit)[0];
      if (reference.empty()) reference = alone;
      CHECK(alone == reference);
      // Companions of any length before and behind it, so that it starts at many different rows.
      for (std::uint32_t before = 38; before < 200; before += 27) {
        const std::vector<std::uint32_t> lengths = {before, 20};
        auto data = random_data(lengths, before);
        data.units.insert(data.units.begin() + 1, {"", {2}});
        data.examples.push_back(unit.examples[0]);
        CHECK(unit_gradients(trainer, data)[1] == reference);
      }
    }
    tiny_llama(precision, 1);
  }
}

TEST_CASE("a unit's gradient is the sum over its records", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  const auto separate = unit_gradients(trainer, c.data);
  auto joined = c.data;
  joined.units = {{"one", {0, 2}}, {"other", {1}}, {"last", {3}}};
  const auto units = unit_gradients(trainer, joined);
  std::vector<float> sum(trainer.dimension());
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = separate[0][i] + separate[2][i];
  CHECK(units[0] == sum);
  CHECK(units[1] == separate[1]);
  CHECK(units[2] == separate[3]);
}

TEST_CASE("an empty batch adds nothing and is a batch", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kB).value();
  const privacy::Grid grid(privacy::ClipNorm(0.5), trainer.dimension());
  FixedRandom random(3);
  auto none = privacy::SampledUnits::draw(privacy::Unit::kPatient, std::vector<std::uint32_t>{1, 1},
                                          privacy::SamplingRate(1e-15), 1, random);
  REQUIRE(none.units().empty());
  const auto sum = trainer.clipped_sum(c.data, std::move(none), grid).value();
  for (const auto v : sum.reveal_without_noise()) CHECK(v == 0);
}

TEST_CASE("tokens behind the last label, which no loss depends on, change nothing", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kB).value();
  auto longer = c.data;
  for (auto& example : longer.examples) {
    example.ids.insert(example.ids.end(), {1, 2, 3});
    example.labels.insert(example.labels.end(), {data::kNoLabel, data::kNoLabel, data::kNoLabel});
  }
  CHECK(unit_gradients(trainer, longer) == unit_gradients(trainer, c.data));
}

TEST_CASE("layers below the first trained one do not change the gradients of those above", "[model]") {
  const Case c;
  auto model = tiny_llama();
  AdapterState upper;  // the same numbers, layer 1 only
  for (std::size_t m = 7; m < 14; ++m) {
    upper.layout.modules.push_back(c.adapter.layout.modules[m]);
    upper.factors.push_back(c.adapter.factors[m]);
  }
  // With B of layer 0 at zero both compute the same function.
  auto whole = c.adapter;
  for (std::size_t m = 0; m < 7; ++m) std::ranges::fill(whole.factors[m].b, 0.0F);
  auto all = Trainer::make(model, whole, TrainedPart::kB).value();
  const auto full = unit_gradients(all, c.data);
  auto part = Trainer::make(model, upper, TrainedPart::kB).value();
  const auto top = unit_gradients(part, c.data);
  for (std::size_t u = 0; u < top.size(); ++u) {
    const std::vector<float> tail(full[u].end() - static_cast<std::ptrdiff_t>(top[u].size()), full[u].end());
    CHECK(relative_difference(top[u], tail) < 1e-6);
  }
}

// Central differences of the evaluated loss along directions near the gradient, so that the slope is large (260): errors of
// 1e-6 in a loss near 9 are then 1e-6 of it at this step, and the third derivative adds some 1e-5. Measured 6e-5.
TEST_CASE("gradients agree with finite differences of the loss", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
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

TEST_CASE("dropout comes from the record's own stream: alone or in company, the same gradient", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB, 0.3).value();
  const auto streams = SeededStreams().streams();
  const auto together = unit_gradients(trainer, c.data, RecordLoss::kMean, streams);
  auto first = c.data;
  first.units = {c.data.units[0]};  // still unit 0, record 0
  CHECK(unit_gradients(trainer, first, RecordLoss::kMean, streams)[0] == together[0]);
  auto plain = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  CHECK(relative_difference(together[0], unit_gradients(plain, c.data)[0]) > 0.05);
  CollectingSink sink(all_units(c.data), trainer.dimension());
  CHECK_THROWS_AS(trainer.add_gradients(c.data, sink, RecordLoss::kMean), Failure);  // dropout without streams
}

// Loss and gradient with masks, as functions of the adapter: the same streams give the same function, so differences apply.
TEST_CASE("gradients under dropout agree with finite differences", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB, 0.5).value();
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
  const auto trainer = Trainer::make(model, c.adapter, TrainedPart::kB).value();
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


namespace {

// One unit at a time through the slow formula, in double: clip each unit's gradient, add.
std::vector<double> one_at_a_time(Trainer& trainer, const data::DataSet& data, double clip, ClippingScheme scheme,
                                  const std::vector<std::size_t>& groups) {
  std::vector<double> sum(trainer.dimension());
  for (const auto& unit : data.units) {
    std::vector<double> gradient(sum.size());
    for (const auto record : unit.examples) {
      data::DataSet alone;
      alone.examples = {data.examples[record]};
      alone.units = {{"", {0}}};
      const auto one = unit_gradients(trainer, alone)[0];
      for (std::size_t i = 0; i < sum.size(); ++i) gradient[i] += static_cast<double>(one[i]);
    }
    std::size_t at = 0;
    for (const std::size_t size : groups) {
      double square = 0;
      for (std::size_t i = at; i < at + size; ++i) square += gradient[i] * gradient[i];
      const double bound = clip / std::sqrt(static_cast<double>(groups.size())), length = std::sqrt(square);
      const double factor = scheme == ClippingScheme::kAutomatic ? bound / (length + 0.01) : std::min(1.0, bound / length);
      for (std::size_t i = at; i < at + size; ++i) sum[i] += factor * gradient[i];
      at += size;
    }
  }
  return sum;
}

}  // namespace

// Patients with one to four records of very different lengths: packed rows, dummies behind them, records of one patient in
// different passes, prompts without labels, one label alone, a last pass that is nearly empty, and the same patient's records
// twice. The grid is so fine that its rounding stays below the tolerance.
TEST_CASE("the clipped sum of every mode is that of one unit at a time, to 1e-5", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  const std::vector<std::uint32_t> lengths = {31, 200, 17, 250, 120, 5, 77, 33, 256, 18, 48, 2};
  auto data = random_data(lengths, 15);
  data.units = {{"a", {0, 1, 3}}, {"b", {2}}, {"c", {8, 4, 5, 6}}, {"d", {7, 9}}, {"e", {10}}, {"a again", {0, 1, 3}}, {"f", {11}}};
  const std::size_t half = trainer.dimension() / 2;
  const std::vector<std::size_t> whole = {trainer.dimension()}, layers = {half, trainer.dimension() - half};
  for (const auto scheme : {ClippingScheme::kFlat, ClippingScheme::kAutomatic, ClippingScheme::kPerLayer}) {
    privacy::Clipping clipping = privacy::flat_clipping(privacy::ClipNorm(0.5));
    if (scheme == ClippingScheme::kAutomatic) clipping.kind = privacy::ClippingKind::kAutomatic;
    if (scheme == ClippingScheme::kPerLayer) {
      clipping.kind = privacy::ClippingKind::kPerLayer;
      clipping.groups = layers;
    }
    const privacy::Grid grid(privacy::ClipNorm(0.5), trainer.dimension(), 4e-6);
    const auto fast = to_floats(trainer.clipped_sum(data, all_units(data), {grid, clipping}).value());
    const auto slow = one_at_a_time(trainer, data, 0.5, scheme, scheme == ClippingScheme::kPerLayer ? layers : whole);
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < slow.size(); ++i) {
      difference += (fast[i] - slow[i]) * (fast[i] - slow[i]);
      size += slow[i] * slow[i];
    }
    INFO("mode " << static_cast<int>(scheme) << ": relative difference " << std::sqrt(difference / size));
    CHECK(std::sqrt(difference / size) < 1e-5);
  }
}

// 128 labels and more go through taller products of the head than few do: the same gradient in any company.
TEST_CASE("a long response's gradient does not depend on its companions' labels", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = Trainer::make(model, c.adapter, TrainedPart::kAB).value();
  FixedRandom random(41);
  data::DataSet data;
  for (const std::uint32_t length : {129U, 60U, 240U, 101U}) {
    data::Example example;
    for (std::uint32_t t = 0; t < length; ++t) {
      example.ids.push_back(static_cast<std::int32_t>(random.below(256)));
      example.labels.push_back(example.ids.back());
    }
    data.units.push_back({"", {static_cast<std::uint32_t>(data.examples.size())}});
    data.examples.push_back(std::move(example));
  }
  const auto together = unit_gradients(trainer, data);
  for (std::size_t u = 0; u < data.units.size(); ++u) {
    auto alone = data;
    alone.units = {data.units[u]};
    CHECK(unit_gradients(trainer, alone)[0] == together[u]);
  }
}

}  // namespace sotto::model
