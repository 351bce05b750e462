#include "model/adapter/adapter.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/check.h"
#include "model/adapter/lora.h"

namespace sotto::model {
namespace {

Result<void> check_prompt(const AdapterState& state, const ModelConfig& config) {
  const auto& shape = state.layout.prompt;
  if (shape.width != config.hidden_size || state.prompt.size() != state.layout.trained_size(TrainedPart::kPrompt))
    return invalid("the prompt has vectors of " + std::to_string(shape.width) + " numbers; the model's embeddings have " +
                   std::to_string(config.hidden_size));
  if (shape.tokens >= config.max_positions)
    return invalid("the prompt has " + std::to_string(shape.tokens) + " tokens; the model takes " +
                   std::to_string(config.max_positions) + " positions in all");
  if (!state.layout.modules.empty() || !state.factors.empty()) return invalid("the adapter has both a prompt and modules");
  return {};
}

Result<void> check_lora(const AdapterState& state, const ModelConfig& config) {
  if (state.layout.prompt.tokens > 0) return check_prompt(state, config);
  const auto all = linear_modules(config);
  auto from = all.begin();  // modules stand in the model's order
  if (state.layout.modules.empty() || state.factors.size() != state.layout.modules.size())
    return invalid("the adapter has no modules, or not one pair of factors for each");
  for (std::size_t m = 0; m < state.factors.size(); ++m) {
    const auto& module = state.layout.modules[m];
    const auto found = std::find_if(from, all.end(), [&](const LoraModule& known) { return known.path == module.path; });
    if (found == all.end())
      return invalid("the adapter's module " + module.path + " is no linear layer of this model, or stands out of order");
    const std::size_t rank = module.rank;
    if (module.in != found->in || module.out != found->out || rank == 0 || state.factors[m].a.size() != rank * module.in ||
        state.factors[m].b.size() != rank * module.out)
      return invalid("the adapter's module " + module.path + " (" + std::to_string(module.out) + " by " +
                     std::to_string(module.in) + ", rank " + std::to_string(rank) + ") does not fit the model's " +
                     std::to_string(found->out) + " by " + std::to_string(found->in));
    from = std::next(found);
  }
  return {};
}

std::vector<float> transposed(const std::vector<float>& values, std::size_t rows, std::size_t columns) {
  std::vector<float> out(values.size());
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  return out;
}

}  // namespace

std::uint64_t Adapter::bytes() const {
  std::uint64_t numbers = lora.layout.trained_size(TrainedPart::kAB) + lora.prompt.size();
  for (const auto& m : magnitudes) numbers += m.size();
  for (const auto& [name, parameter] : replaced) numbers += parameter.values.size();
  return numbers * sizeof(float);
}

std::size_t Adapter::trained_size(TrainedPart part) const {
  std::size_t size = lora.layout.trained_size(part);
  for (const auto& m : magnitudes) size += m.size();
  return size;
}

std::vector<float> trained_vector(const Adapter& adapter, TrainedPart part) {
  auto out = trained_vector(adapter.lora, part);
  for (const auto& m : adapter.magnitudes) out.insert(out.end(), m.begin(), m.end());
  return out;
}

Adapter with_trained(Adapter adapter, TrainedPart part, std::span<const float> values) {
  SOTTO_CHECK(values.size() == adapter.trained_size(part));
  const std::size_t factors = adapter.lora.layout.trained_size(part);
  adapter.lora = with_trained(std::move(adapter.lora), part, values.first(factors));
  values = values.subspan(factors);
  for (auto& m : adapter.magnitudes) {
    std::copy_n(values.begin(), m.size(), m.begin());
    values = values.subspan(m.size());
  }
  return adapter;
}

std::optional<WeightInfo> find_parameter(const ModelConfig& config, const std::string& name) {
  ModelConfig untied = config;
  untied.tied_embeddings = false;
  const auto infos = weight_infos(untied);
  const auto found = std::ranges::find(infos, name, &WeightInfo::name);
  if (found == infos.end()) return std::nullopt;
  return *found;
}

std::vector<std::uint64_t> stored_shape(const WeightInfo& info) {
  auto shape = info.shape;
  if (info.transposed_on_disk) std::ranges::reverse(shape);
  return shape;
}

std::vector<float> to_stored(const WeightInfo& info, std::vector<float> values) {
  if (info.unit_offset)
    for (float& value : values) value -= 1.0F;
  return info.transposed_on_disk ? transposed(values, info.shape[0], info.shape[1]) : values;
}

std::vector<float> from_stored(const WeightInfo& info, std::vector<float> values) {
  if (info.unit_offset)
    for (float& value : values) value += 1.0F;
  return info.transposed_on_disk ? transposed(values, info.shape[1], info.shape[0]) : values;
}

Result<void> check_adapter(const Adapter& adapter, const ModelConfig& config) {
  const bool parameters_alone = adapter.lora == AdapterState() && !adapter.replaced.empty();
  if (!parameters_alone) SOTTO_TRY_VOID(check_lora(adapter.lora, config));
  const auto& modules = adapter.lora.layout.modules;
  if (adapter.is_dora() && adapter.magnitudes.size() != modules.size())
    return invalid("the adapter has magnitudes for " + std::to_string(adapter.magnitudes.size()) + " of " +
                   std::to_string(modules.size()) + " modules");
  for (std::size_t m = 0; m < adapter.magnitudes.size(); ++m)
    if (adapter.magnitudes[m].size() != modules[m].out)
      return invalid("the adapter's magnitude of " + modules[m].path + " has " +
                     std::to_string(adapter.magnitudes[m].size()) + " values for " + std::to_string(modules[m].out) +
                     " rows");
  for (const auto& [name, parameter] : adapter.replaced) {
    const auto info = find_parameter(config, name);
    if (!info) return invalid("the adapter replaces " + name + ", which is no parameter of this model");
    const auto elements = std::accumulate(info->shape.begin(), info->shape.end(), std::uint64_t{1}, std::multiplies<>());
    if (parameter.shape != info->shape || parameter.values.size() != elements)
      return invalid("the adapter replaces " + name + " by " + std::to_string(parameter.values.size()) +
                     " values; the model has " + std::to_string(elements));
  }
  return {};
}

}  // namespace sotto::model
