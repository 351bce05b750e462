// A unit's gradient depends on the unit alone, whoever shares its pass, and clipped sums are sums of units.
#include "tests/model/training/gradient_case.h"

namespace sotto::model::gradients {
namespace {

// One unit at a time through the slow formula, in double: clip each unit's gradient, add.
std::vector<double> one_at_a_time(AdapterTrainer& trainer, const data::DataSet& data, double clip,
                                  privacy::ClippingKind scheme, const std::vector<std::size_t>& groups) {
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
      const double factor =
          scheme == privacy::ClippingKind::kAutomatic ? bound / (length + 0.01) : std::min(1.0, bound / length);
      for (std::size_t i = at; i < at + size; ++i) sum[i] += factor * gradient[i];
      at += size;
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("a clipped sum of many is the sum of the clipped sums of each alone, integer for integer", "[model]") {
  const Case c;
  for (const auto precision : precisions()) {
    auto model = tiny_llama(precision);
    auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kB).value();
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
    auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
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
      auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
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
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
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
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kB).value();
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
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kB).value();
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
  auto all = AdapterTrainer::make(model, whole, TrainedPart::kB).value();
  const auto full = unit_gradients(all, c.data);
  auto part = AdapterTrainer::make(model, upper, TrainedPart::kB).value();
  const auto top = unit_gradients(part, c.data);
  for (std::size_t u = 0; u < top.size(); ++u) {
    const std::vector<float> tail(full[u].end() - static_cast<std::ptrdiff_t>(top[u].size()), full[u].end());
    CHECK(relative_difference(top[u], tail) < 1e-6);
  }
}

TEST_CASE("dropout comes from the record's own stream: alone or in company, the same gradient", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB, 0.3).value();
  const auto streams = SeededStreams().streams();
  const auto together = unit_gradients(trainer, c.data, RecordLoss::kMean, streams);
  auto first = c.data;
  first.units = {c.data.units[0]};  // still unit 0, record 0
  CHECK(unit_gradients(trainer, first, RecordLoss::kMean, streams)[0] == together[0]);
  auto plain = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  CHECK(relative_difference(together[0], unit_gradients(plain, c.data)[0]) > 0.05);
  CollectingSink sink(all_units(c.data), trainer.dimension());
  CHECK_THROWS_AS(trainer.add_gradients(c.data, sink, RecordLoss::kMean), Failure);  // dropout without streams
}

// Patients with one to four records of very different lengths: packed rows, dummies behind them, records of one patient in
// different passes, prompts without labels, one label alone, a last pass that is nearly empty, and the same patient's
// records twice. The grid is so fine that its rounding stays below the tolerance.
TEST_CASE("the clipped sum of every mode is that of one unit at a time, to 1e-5", "[model]") {
  const Case c;
  auto model = tiny_llama();
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
  const std::vector<std::uint32_t> lengths = {31, 200, 17, 250, 120, 5, 77, 33, 256, 18, 48, 2};
  auto data = random_data(lengths, 15);
  data.units = {{"a", {0, 1, 3}},       {"b", {2}}, {"c", {8, 4, 5, 6}}, {"d", {7, 9}}, {"e", {10}},
                {"a again", {0, 1, 3}}, {"f", {11}}};
  const std::size_t half = trainer.dimension() / 2;
  const std::vector<std::size_t> whole = {trainer.dimension()}, layers = {half, trainer.dimension() - half};
  for (const auto scheme :
       {privacy::ClippingKind::kFlat, privacy::ClippingKind::kAutomatic, privacy::ClippingKind::kPerLayer}) {
    privacy::Clipping clipping = privacy::flat_clipping(privacy::ClipNorm(0.5));
    if (scheme == privacy::ClippingKind::kAutomatic) clipping.kind = privacy::ClippingKind::kAutomatic;
    if (scheme == privacy::ClippingKind::kPerLayer) {
      clipping.kind = privacy::ClippingKind::kPerLayer;
      clipping.groups = layers;
    }
    const privacy::Grid grid(privacy::ClipNorm(0.5), trainer.dimension(), 4e-6);
    const auto fast = to_floats(trainer.clipped_sum(data, all_units(data), {grid, clipping}).value());
    const auto slow = one_at_a_time(trainer, data, 0.5, scheme, scheme == privacy::ClippingKind::kPerLayer ? layers : whole);
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
  auto trainer = AdapterTrainer::make(model, c.adapter, TrainedPart::kAB).value();
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

}  // namespace sotto::model::gradients
