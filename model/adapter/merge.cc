#include "model/adapter/merge.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace sotto::model {
namespace {

constexpr std::string_view kWeight = ".weight";

double norm(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

}  // namespace

Result<MergedModel> MergedModel::make(const Checkpoint& base, const Adapter& adapter) {
  const bool is_base_alone = adapter == Adapter();
  if (!is_base_alone) SOTTO_TRY_VOID(check_adapter(adapter, base.config()));
  if (adapter.lora.layout.prompt.tokens > 0)
    return unsupported(
        "the adapter is a soft prompt: it stands before the text and is no change of the model's weights; give it "
        "with --adapter beside the model");
  MergedModel merged(base, adapter);
  merged.config_ = base.config();
  const auto outer = outer_names(base.config());
  const auto head = adapter.replaced.find(outer.head + ".weight"),
             embedding = adapter.replaced.find(outer.embedding + ".weight");
  const auto none = adapter.replaced.end();
  const bool same = head != none && embedding != none && head->second == embedding->second;
  if ((head != none || embedding != none) && !same) merged.config_.tied_embeddings = false;
  merged.weights_ = weight_infos(merged.config_);
  return merged;
}

// W <- W + scale * B A, then, for DoRA, row o times m_o / |row o|.
void MergedModel::add_lora(std::size_t module, std::vector<float>& weight_OI) const {
  const auto& m = adapter_->lora.layout.modules[module];
  const auto& [a_rI, b_Or] = adapter_->lora.factors[module];
  const auto scale = static_cast<float>(m.scale);
  for (std::size_t o = 0; o < m.out; ++o) {
    const std::span<float> row = std::span(weight_OI).subspan(o * m.in, m.in);
    for (std::size_t r = 0; r < m.rank; ++r) {
      const float factor = scale * b_Or[o * m.rank + r];
      const float* a = a_rI.data() + r * m.in;
      for (std::size_t i = 0; i < m.in; ++i) row[i] += factor * a[i];
    }
    if (!adapter_->is_dora()) continue;
    const auto gain = static_cast<float>(static_cast<double>(adapter_->magnitudes[module][o]) / norm(row));
    for (float& x : row) x *= gain;
  }
}

Result<std::vector<float>> MergedModel::read(const WeightInfo& weight) const {
  const auto outer = outer_names(config_);
  std::vector<float> values;
  if (const auto own = adapter_->replaced.find(weight.name); own != adapter_->replaced.end())
    values = own->second.values;
  else if (weight.name == outer.head + ".weight" && base_->config().tied_embeddings)
    values = base_->read(outer.embedding + ".weight");
  else
    values = base_->read(weight.name);
  if (weight.name.ends_with(kWeight)) {
    const auto& modules = adapter_->lora.layout.modules;
    const auto module =
        std::ranges::find(modules, weight.name.substr(0, weight.name.size() - kWeight.size()), &LoraModule::path);
    if (module != modules.end()) add_lora(static_cast<std::size_t>(module - modules.begin()), values);
  }
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return invalid("the merged weight " + weight.name + " is not finite; the adapter or the base is damaged");
  return values;
}

}  // namespace sotto::model
