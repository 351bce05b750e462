// The parent of a run: its first round starts from the adapter of a finished run of this coordinator. The plan names the
// adapter by its weights (lineage/weights.h), so that every site can check what it is given. Budgets need no change, because
// they belong to the patients.
#pragma once

#include "coordinator/folder/coordinator_folder.h"
#include "coordinator/runs/run_history.h"

namespace sotto::coordinator {

// The adapter that the run ended with, as the log names it. Refused: a run without a model, a file with another hash.
Result<AdapterState> adapter_of(const CoordinatorFolder& folder, const RunHistory& run);

// Sets plan.parent. Refused by name: a run that is not there or has no model, another base model, other settings of LoRA.
Result<void> set_parent(const CoordinatorFolder& folder, const std::string& parent_run, RunPlan& plan);

// The adapter with these weights, of whichever ended run has it, for this layout.
Result<AdapterState> adapter_with(const CoordinatorFolder& folder, const History& history, const Digest& weights,
                                  const AdapterLayout& layout);

}  // namespace sotto::coordinator
