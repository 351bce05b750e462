#include "coordinator/runs/parent.h"

#include "audit/log/log_reader.h"
#include "crypto/hash.h"
#include "lineage/weights.h"

namespace sotto::coordinator {
namespace {

// The first of [lora]'s settings that differs; empty: none. A run goes on with its parent's.
std::string other_setting(const RunPlan& plan, const RunPlan& parent) {
  const LoraPlan &a = plan.lora, &b = parent.lora;
  if (plan.trained != parent.trained) return "lora.train";
  if (a.rank != b.rank) return "lora.rank";
  if (a.alpha != b.alpha) return "lora.alpha";
  if (a.rslora != b.rslora) return "lora.rslora";
  if (a.targets != b.targets) return "lora.targets";
  if (a.first_layer != b.first_layer || a.last_layer != b.last_layer) return "lora.first_layer or last_layer";
  return "";
}

}  // namespace

Result<AdapterState> adapter_of(const CoordinatorFolder& folder, const RunHistory& run) {
  if (!run.finished || !run.adapter) return refused("run '" + run.run.value() + "' has not ended with a model");
  const std::string file = folder.run_path(run.run) + "/adapter/adapter.bin";
  SOTTO_TRY(const Bytes bytes, read_binary_file(file));
  if (crypto::sha256(bytes) != *run.adapter)
    return invalid("'" + file + "' is not the adapter that the log names; restore it from a backup");
  return decode_adapter(bytes);
}

Result<void> set_parent(const CoordinatorFolder& folder, const std::string& parent_run, RunPlan& plan) {
  SOTTO_TRY(const auto log, audit::read_log(folder.log_path()));
  SOTTO_TRY(const auto history, History::replay(log));
  const RunHistory* parent = is_valid_name(parent_run) ? history.find(RunId(parent_run)) : nullptr;
  if (!parent)
    return not_found("training.parent names run '" + parent_run.substr(0, 64) +
                     "', and there is none; 'sotto-coordinator runs' lists them");
  if (!trains_lora(plan.trained))
    return unsupported("training.parent is for LoRA adapters in this version, not for a prompt");
  if (parent->plan.model != plan.model)
    return refused("training.parent: run '" + parent_run + "' was of another base model (model.sha256)");
  if (const auto setting = other_setting(plan, parent->plan); !setting.empty())
    return refused("training.parent: " + setting + " is not that of run '" + parent_run +
                   "'; a run goes on with its parent's");
  SOTTO_TRY(const AdapterState adapter, adapter_of(folder, *parent));
  plan.parent = lineage::weights_of(adapter);
  return {};
}

Result<AdapterState> adapter_with(const CoordinatorFolder& folder, const History& history, const Digest& weights,
                                  const AdapterLayout& layout) {
  for (const auto& run : history.runs()) {
    if (!run.finished || !run.adapter || !trains_lora(run.plan.trained)) continue;
    auto adapter = adapter_of(folder, run);
    if (!adapter.ok() || lineage::weights_of(*adapter) != weights) continue;
    if (adapter->layout != layout) return refused("the parent's adapter lies on other modules than the sites' model has");
    return adapter;
  }
  return not_found("no run of this coordinator has left model " + to_hex(weights).substr(0, 12) +
                   ", which the plan goes on from");
}

}  // namespace sotto::coordinator
