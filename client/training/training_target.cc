#include "client/training/training_target.h"

#include "aggregation/fedsvd.h"
#include "base/files.h"
#include "model/adapter/lora.h"
#include "model/adapter/merged_folder.h"
#include "model/adapter/peft_folder.h"
#include "model/files/checkpoint.h"
#include "model/training/adapter_trainer.h"
#include "model/training/full_trainer.h"

namespace sotto::client {
namespace {

class AdapterTuning final : public TrainingTarget {
 public:
  AdapterTuning(model::LanguageModel& model, const LoraPlan& plan, model::AdapterTrainer trainer,
                model::AdapterSummary summary)
      : model_(&model), plan_(plan), trainer_(std::move(trainer)), summary_(summary) {}
  model::Training& training() override { return trainer_; }
  std::uint64_t trained_parameters() const override { return summary_.trained_parameters; }
  std::string text() const override { return summary_.text(); }
  std::string name() const override { return "adapter"; }
  const AdapterState* adapter() const override { return trainer_.adapter().is_dora() ? nullptr : &trainer_.adapter().lora; }
  Result<void> save(const std::string& out, const std::string& base, const model::FileMetadata& metadata) const override {
    return model::save_adapter_folder(out + "/" + name(), trainer_.adapter(), {plan_, base, metadata}, model_->config());
  }

 private:
  model::LanguageModel* model_;
  LoraPlan plan_;
  model::AdapterTrainer trainer_;
  model::AdapterSummary summary_;
};

class ModelTuning final : public TrainingTarget {
 public:
  explicit ModelTuning(model::LanguageModel& model) : trainer_(model) {}
  model::Training& training() override { return trainer_; }
  std::uint64_t trained_parameters() const override { return trainer_.dimension(); }
  std::string text() const override { return "all " + std::to_string(trained_parameters()) + " parameters trained"; }
  std::string name() const override { return "model"; }
  const AdapterState* adapter() const override { return nullptr; }
  // The folder appears whole or not at all: one that is there is of the same run, which had ended.
  Result<void> save(const std::string& out, const std::string& base, const model::FileMetadata&) const override {
    const std::string folder = out + "/" + name();
    if (file_exists(folder + "/config.json")) return {};
    SOTTO_TRY(const auto checkpoint, model::Checkpoint::open(base));
    const model::Adapter parameters = trainer_.parameters();
    SOTTO_TRY(const auto merged, model::MergedModel::make(checkpoint, parameters));
    SOTTO_TRY([[maybe_unused]] const auto written, model::write_merged_folder(base, merged, folder));
    return {};
  }

 private:
  model::FullTrainer trainer_;
};

}  // namespace

Result<std::unique_ptr<TrainingTarget>> TrainingTarget::begin(model::LanguageModel& model, const RunPlan& plan,
                                                              const Start& start) {
  if (plan.trained == TrainedPart::kFull) return std::unique_ptr<TrainingTarget>(std::make_unique<ModelTuning>(model));
  SOTTO_TRY(const auto layout, model::adapter_layout(model.config(), plan));
  SOTTO_TRY(const auto state,
            start.adapter ? Result<AdapterState>(*start.adapter) : aggregation::initial_adapter(layout, plan.seed));
  model::Adapter first(state);
  if (start.dora) {
    SOTTO_TRY(first, model.as_dora(state));
  }
  SOTTO_TRY(auto trainer, model::AdapterTrainer::make(model, first, plan.trained, plan.lora.dropout));
  auto summary = model::summarize(model.config(), model.weight_bytes(), layout, plan.trained);
  summary.trained_parameters = first.trained_size(plan.trained);
  return std::unique_ptr<TrainingTarget>(std::make_unique<AdapterTuning>(model, plan.lora, std::move(trainer), summary));
}

}  // namespace sotto::client
