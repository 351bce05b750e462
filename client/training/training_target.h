// What a plan trains at one site alone, an adapter or the whole model, and how its result is written to disk. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "model/adapter/peft_folder.h"
#include "model/inference/language_model.h"
#include "model/training/training.h"
#include "plan/run_plan.h"

namespace sotto::client {

class TrainingTarget {
 public:
  virtual ~TrainingTarget() = default;
  struct Start {
    std::optional<AdapterState> adapter = std::nullopt;  // to go on from; none: one from the plan's public seed
    bool dora = false;                                   // with DoRA's magnitudes
  };
  // An adapter, or the model as it is. `model` must outlive it. Refused: what the plan names and the model does not have.
  static Result<std::unique_ptr<TrainingTarget>> begin(model::LanguageModel& model, const RunPlan& plan, const Start& start);

  virtual model::Training& training() = 0;
  virtual std::uint64_t trained_parameters() const = 0;
  virtual std::string text() const = 0;  // what is trained, one line for people
  // What the folder of results has of it: "adapter" (a PEFT folder) or "model" (a Hugging Face folder).
  virtual std::string name() const = 0;
  // LoRA's factors, as they stand: what has a passport and can be gone on from. nullptr: a prompt, DoRA or a whole model.
  virtual const AdapterState* adapter() const = 0;
  // Writes out/<name>. `base` is the model's path; `metadata` stands in LoRA's file.
  virtual Result<void> save(const std::string& out, const std::string& base, const model::FileMetadata& metadata) const = 0;
};

}  // namespace sotto::client
