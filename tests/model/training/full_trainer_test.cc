// Full fine-tuning: gradients of every parameter against automatic differentiation, and the exact sums of a private step.
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "model/adapter/merge.h"
#include "model/adapter/merged_folder.h"
#include "model/files/architecture.h"
#include "model/training/full_trainer.h"
#include "model/training/self_check.h"
#include "privacy/mechanism/noise.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"
#include "tests/support/temporary_folder.h"

namespace sotto::model {
namespace {

const std::vector<std::string> kModels = {"gemma2", "gpt2", "llama", "llama_untied_rope3", "mistral", "qwen2", "qwen3"};

LanguageModel tiny(const std::string& name, int threads = 1) {
  return LanguageModel::load(vector_path("tiny/" + name), {.precision = Precision::kFp32, .threads = threads}).value();
}

// Records of random tokens, in units of one, two and three; one unit has the same record twice.
data::DataSet units_of_records() {
  FixedRandom random(31);
  data::DataSet data;
  for (std::uint32_t unit = 0; unit < 4; ++unit) {
    data.units.push_back({"", {}});
    for (std::uint32_t r = 0; r <= unit % 3; ++r) {
      data::Example example;
      const auto length = 9 + random.below(40);
      for (std::uint64_t t = 0; t < length; ++t) {
        example.ids.push_back(static_cast<std::int32_t>(random.below(256)));
        example.labels.push_back(t > length / 2 ? example.ids.back() : data::kNoLabel);
      }
      data.units.back().examples.push_back(static_cast<std::uint32_t>(data.examples.size()));
      data.examples.push_back(std::move(example));
    }
  }
  data.units[1].examples.push_back(data.units[1].examples.front());
  return data;
}

data::DataSet only(const data::DataSet& data, const data::Unit& unit) {
  data::DataSet one;
  one.examples = data.examples;
  one.units = {unit};
  return one;
}

std::vector<std::vector<float>> gradients(FullTrainer& trainer, const data::DataSet& data) {
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean).ok());
  return sink.gradients;
}

double product_with_cosines(std::span<const float> values) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    sum += static_cast<double>(values[i]) * std::cos(0.37 * static_cast<double>(i));
  return sum;
}

std::vector<double> as_doubles(const privacy::ClippedSum& sum) {
  std::vector<double> out;
  for (const auto v : sum.reveal_without_noise()) out.push_back(static_cast<double>(v) * sum.grid().step());
  return out;
}

}  // namespace

TEST_CASE("gradients of every parameter are those of automatic differentiation, for each architecture", "[model]") {
  const Json expected = read_json("whole_gradients/expected.json");
  for (const auto& name : kModels) {
    auto model = tiny(name);
    FullTrainer trainer(model);
    data::DataSet data;
    for (const auto& record : expected.at(name).items()) {
      data::Example example;
      for (const auto& id : record.at("ids").items()) example.ids.push_back(static_cast<std::int32_t>(id.as_int()));
      for (std::size_t t = 0; t < example.ids.size(); ++t) example.labels.push_back(t < 5 ? data::kNoLabel : example.ids[t]);
      data.units.push_back({"", {static_cast<std::uint32_t>(data.examples.size())}});
      data.examples.push_back(std::move(example));
    }
    const auto found = gradients(trainer, data);
    for (std::size_t r = 0; r < found.size(); ++r) {
      std::size_t at = 0;
      for (const auto& info : weight_infos(model.config())) {
        INFO(name << " " << info.name);
        std::size_t size = 1;
        for (const auto n : info.shape) size *= n;
        std::vector<float> own(found[r].begin() + static_cast<std::ptrdiff_t>(at),
                               found[r].begin() + static_cast<std::ptrdiff_t>(at + size));
        if (info.transposed_on_disk) own = to_stored(info, own);
        const auto& wanted = expected.at(name).at(r).at("gradients").at(info.name);
        const double scale = wanted.at(0).as_double();
        CHECK(norm(own) == Approx(scale).epsilon(2e-5).margin(1e-7));
        CHECK(product_with_cosines(own) == Approx(wanted.at(1).as_double()).margin(2e-4 * scale + 1e-7));
        at += size;
      }
      CHECK(at == found[r].size());
    }
  }
}

TEST_CASE("the clipped sum of whole gradients is that of one unit at a time, and integers do not depend on company",
          "[model]") {
  const auto data = units_of_records();
  for (const std::string name : {"llama", "qwen2", "gpt2"}) {
    auto model = tiny(name);
    FullTrainer trainer(model);
    const auto whole = gradients(trainer, data);
    const double clip = 0.5 * norm(whole[0]);
    const privacy::Grid grid(privacy::ClipNorm(clip), trainer.dimension());
    const auto together = trainer.clipped_sum(data, all_units(data), grid).value();
    std::vector<std::int64_t> alone(grid.dimension());
    std::vector<double> slow(grid.dimension());
    for (std::size_t u = 0; u < data.units.size(); ++u) {
      const auto one = only(data, data.units[u]);
      const auto sum = trainer.clipped_sum(one, all_units(one), grid).value();
      const double factor = std::min(1.0, clip / norm(whole[u]));
      for (std::size_t i = 0; i < alone.size(); ++i) {
        alone[i] += sum.reveal_without_noise()[i];
        slow[i] += factor * static_cast<double>(whole[u][i]);
      }
    }
    CHECK(alone == together.reveal_without_noise());
    const auto fast = as_doubles(together);
    double difference = 0, rounding = static_cast<double>(data.units.size()) * grid.step() / 2;
    for (std::size_t i = 0; i < slow.size(); ++i) difference = std::max(difference, std::abs(fast[i] - slow[i]));
    CHECK(difference < rounding + 1e-5 * clip);

    auto threaded = tiny(name, 2);
    FullTrainer other(threaded);
    CHECK(other.clipped_sum(data, all_units(data), grid)->reveal_without_noise() == alone);
  }
}

TEST_CASE("per-layer clipping of whole gradients holds each layer to its share", "[model]") {
  const auto data = units_of_records();
  auto model = tiny("llama");
  FullTrainer trainer(model);
  const privacy::Grid grid(privacy::ClipNorm(0.1), trainer.dimension());
  privacy::Clipping clipping{privacy::ClippingKind::kPerLayer, 0.1, trainer.layer_groups(), false};
  const auto one = only(data, data.units[2]);
  const auto sum = as_doubles(trainer.clipped_sum(one, all_units(one), {grid, clipping}).value());
  std::size_t at = 0;
  REQUIRE(clipping.groups.size() == model.config().layers + 2);
  for (const auto size : clipping.groups) {
    double square = 0;
    for (std::size_t i = at; i < at + size; ++i) square += sum[i] * sum[i];
    CHECK(std::sqrt(square) == Approx(0.1 / std::sqrt(static_cast<double>(clipping.groups.size()))).epsilon(1e-3));
    at += size;
  }
}

#if defined(__GLIBC__)
TEST_CASE("steps of full fine-tuning hold no more memory the more of them there were", "[model]") {
  const auto data = units_of_records();
  auto model = tiny("llama");
  FullTrainer trainer(model);
  const privacy::Grid grid(privacy::ClipNorm(0.1), trainer.dimension());
  const auto held_after = [&](int steps) {
    for (int k = 0; k < steps; ++k) REQUIRE(trainer.clipped_sum(data, all_units(data), grid).ok());
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const auto first = held_after(3);
  CHECK(held_after(10) < first + (std::size_t{1} << 18));  // what a single pass keeps for its derivatives is more
}
#endif

TEST_CASE("a drawn unit without records adds zeros to whole gradients", "[model]") {
  auto data = units_of_records();
  data.units.push_back({"", {}});
  auto model = tiny("llama");
  FullTrainer trainer(model);
  CHECK(norm(gradients(trainer, data).back()) == 0);
}

TEST_CASE("a step of full fine-tuning moves the model, and the folder written from it answers alike", "[model]") {
  for (const std::string name : {"llama", "gpt2", "gemma2", "llama_untied_rope3"}) {
    INFO(name);
    const auto data = units_of_records();
    auto model = tiny(name);
    FullTrainer trainer(model);
    const auto before = model.evaluate(data.examples).value();
    const auto start = trainer.state();
    Optimizer optimizer(OptimizerPlan{}, trainer.dimension());
    for (int k = 0; k < 3; ++k) {
      auto sum = trainer.unclipped_sum(data, all_units(data)).value();
      const auto mean = privacy::NonPrivateSum(std::move(sum)).mean(privacy::ExpectedBatch(privacy::SamplingRate(1.0), 4));
      trainer.step(optimizer, mean, 1e-3);
    }
    const auto after = model.evaluate(data.examples).value();
    CHECK(after[0].loss_sum < before[0].loss_sum);

    TemporaryFolder scratch;
    const auto base = Checkpoint::open(vector_path("tiny/" + name)).value();
    const auto parameters = trainer.parameters();
    const auto merged = MergedModel::make(base, parameters).value();
    CHECK(merged.config().tied_embeddings == base.config().tied_embeddings);
    REQUIRE(write_merged_folder(vector_path("tiny/" + name), merged, scratch.path() + "/model").ok());
    auto loaded = LanguageModel::load(scratch.path() + "/model", {.precision = Precision::kFp32, .threads = 1}).value();
    // Exact, but for Gemma's norms: a file holds them less one, which rounds.
    CHECK(loaded.evaluate(data.examples)->at(0).loss_sum ==
          Approx(after[0].loss_sum).epsilon(name == "gemma2" ? 1e-6 : 0.0));

    REQUIRE(trainer.set_state(start).ok());
    CHECK(model.evaluate(data.examples)->at(0).loss_sum == before[0].loss_sum);
    CHECK_FALSE(trainer.set_state(std::span(start).first(5)).ok());
  }
}

TEST_CASE("the self-check passes for full fine-tuning and puts the weights back", "[model]") {
  for (const auto& name : kModels) {
    INFO(name);
    auto model = tiny(name);
    const auto before = model.evaluate(units_of_records().examples)->at(0).loss_sum;
    FixedRandom random(3);
    const auto report = self_check_full(model, privacy::ClipNorm(0.3), random);
    REQUIRE(report.ok());
    CHECK(report->relative_difference < report->tolerance);
    CHECK(model.evaluate(units_of_records().examples)->at(0).loss_sum == before);
  }
}

}  // namespace sotto::model
