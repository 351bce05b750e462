// Data-parallel steps: two processes' parts add up to one process's sum, and the store that they talk through.
#include <barrier>
#include <cstdlib>
#include <thread>

#include "model/adapter/peft_folder.h"
#include "model/training/adapter_trainer.h"
#include "model/training/full_trainer.h"
#include "model/training/process_group.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"

namespace sotto::model {
namespace {

// Two workers in threads of one process.
class Pair {
 public:
  class Half final : public privacy::Workers {
   public:
    Half(Pair& pair, std::size_t rank) : pair_(pair), rank_(rank) {}
    bool is_mine(std::size_t position) const override { return position % 2 == rank_; }
    void sum(std::span<std::int64_t> values) override {
      pair_.parts_[rank_].assign(values.begin(), values.end());
      pair_.both_.arrive_and_wait();
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = pair_.parts_[0][i] + pair_.parts_[1][i];
      pair_.both_.arrive_and_wait();
    }
    void sum(std::span<double>) override { FAIL("the private sum is one of integers"); }

   private:
    Pair& pair_;
    std::size_t rank_;
  };

 private:
  std::barrier<> both_{2};
  std::vector<std::int64_t> parts_[2];
};

std::vector<std::int64_t> sum_of(Training& training, const data::DataSet& data, privacy::Workers* workers) {
  training.share_with(workers);
  const privacy::Grid grid(privacy::ClipNorm(0.2), training.dimension());
  return training.clipped_sum(data, all_units(data), grid)->reveal_without_noise();
}

}  // namespace

TEST_CASE("the clipped sum of two processes is that of one, bit for bit, for adapters and for the whole model", "[model]") {
  const auto data = data_set(read_safetensors("dp/expected.safetensors"), "");
  for (const bool full : {false, true}) {
    std::vector<LanguageModel> models;
    std::vector<std::unique_ptr<Training>> trainers;
    for (int i = 0; i < 3; ++i) models.push_back(tiny_llama());
    for (auto& model : models) {
      if (full)
        trainers.push_back(std::make_unique<FullTrainer>(model));
      else
        trainers.push_back(std::make_unique<AdapterTrainer>(
            AdapterTrainer::make(model, load_peft_folder(vector_path("dp/adapter"), model.config())->lora, TrainedPart::kAB)
                .value()));
    }
    const auto alone = sum_of(*trainers[2], data, nullptr);
    Pair pair;
    Pair::Half first(pair, 0), second(pair, 1);
    std::vector<std::int64_t> sums[2];
    std::thread other([&] { sums[1] = sum_of(*trainers[1], data, &second); });
    sums[0] = sum_of(*trainers[0], data, &first);
    other.join();
    CHECK(sums[0] == alone);
    CHECK(sums[1] == alone);
  }
}

TEST_CASE("gradient checkpointing gives the same sums, bit for bit, under dropout too", "[model]") {
  const auto data = data_set(read_safetensors("dp/expected.safetensors"), "");
  const DropoutStreams streams = [](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) {
    return std::make_unique<FixedRandom>(unit * 1000003ULL + record * 1009 + layer);
  };
  auto model = tiny_llama();
  const auto adapter = load_peft_folder(vector_path("dp/adapter"), model.config())->lora;
  for (const bool full : {false, true}) {
    std::unique_ptr<Training> training;
    if (full)
      training = std::make_unique<FullTrainer>(model);
    else
      training = std::make_unique<AdapterTrainer>(AdapterTrainer::make(model, adapter, TrainedPart::kAB, 0.3).value());
    const privacy::Grid grid(privacy::ClipNorm(0.2), training->dimension());
    std::vector<std::int64_t> sums[2];
    for (const bool on : {false, true}) {
      training->recompute_layers(on);
      sums[on] =
          training->clipped_sum(data, all_units(data), grid, full ? DropoutStreams() : streams)->reveal_without_noise();
    }
    CHECK(sums[0] == sums[1]);
  }
}

TEST_CASE("variables of torchrun that are missing or out of range are refused by name", "[model]") {
  const auto with = [](const char* size, const char* rank, const char* port) {
    ::setenv("WORLD_SIZE", size, 1);
    ::setenv("RANK", rank, 1);
    ::setenv("MASTER_PORT", port, 1);
    const auto group = ProcessGroup::from_environment();
    for (const char* name : {"WORLD_SIZE", "RANK", "MASTER_PORT"}) ::unsetenv(name);
    return group.ok() ? std::string() : group.error().message;
  };
  CHECK(ProcessGroup::from_environment().value() == nullptr);
  CHECK(with("1", "0", "29500").empty());
  CHECK(with("2", "2", "29500").starts_with("RANK must be a whole number from 0 to 1, not '2'"));
  CHECK(with("two", "0", "29500").starts_with("WORLD_SIZE must"));
  CHECK(with("2", "0", "70000").starts_with("MASTER_PORT must"));
  CHECK(with("2", "0", "29500").starts_with("MASTER_ADDR must"));
}

}  // namespace sotto::model
