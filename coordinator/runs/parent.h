// Going on from a model: a run whose first round starts from the adapter that an ended run of this coordinator left. The
// plan names it by its weights (lineage/weights.h), so that every site checks what it is given. Budgets need nothing: they
// are the patients'.
#pragma once

#include "coordinator/folder/coordinator_folder.h"
#include "coordinator/runs/run_history.h"

namespace sotto::coordinator {

// What the run ended with, as its log names it. Refused: a run without a model, a file that is not it.
Result<AdapterState> adapter_of(const CoordinatorFolder& folder, const RunHistory& run);

// Sets plan.parent. Refused by name: a run that is not there or has no model, another base model, other settings of LoRA.
Result<void> set_parent(const CoordinatorFolder& folder, const std::string& parent_run, RunPlan& plan);

// The adapter with these weights, of whichever ended run has it, for this layout.
Result<AdapterState> adapter_with(const CoordinatorFolder& folder, const History& history, const Digest& weights,
                                  const AdapterLayout& layout);

}  // namespace sotto::coordinator
