#include "model/inference/language_model.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "model/adapter/lora.h"
#include "model/inference/model_state.h"
#include "model/network/output_head.h"

namespace sotto::model {
namespace {

// A pass of that sequence alone, behind the adapter's prompt if it has one.
PassRowsPtr pass_of(const LanguageModel::State& state, std::span<const std::int32_t> tokens) {
  const auto whole = state.with_prompt(tokens);
  const std::span<const std::int32_t> ids = whole;
  const std::uint32_t start = 0;
  return make_pass(single_pass(static_cast<std::uint32_t>(ids.size())), std::span(&ids, 1), std::span(&start, 1),
                   state.weights);
}

// Rows of the sequence itself.
at::Tensor behind_prompt(const LanguageModel::State& state, const at::Tensor& x_RC, std::size_t length) {
  return x_RC.narrow(0, state.prompt_tokens(), static_cast<std::int64_t>(length));
}

at::Tensor hidden_of(const LanguageModel::State& state, std::span<const std::int32_t> ids) {
  return behind_prompt(state, final_hidden(state.weights, state.adapter_or_null(), pass_of(state, ids)), ids.size());
}

std::vector<float> to_vector(const at::Tensor& tensor) {
  const at::Tensor values = tensor.cpu().contiguous();
  const float* data = values.const_data_ptr<float>();
  return {data, data + values.numel()};
}

}  // namespace

Pass single_pass(std::uint32_t length) {
  constexpr std::uint32_t kRows = 32;
  return {(length + kRows - 1) / kRows * kRows, {{0, 0, length}}};
}

Result<void> check_ids(std::span<const std::int32_t> ids, const ModelConfig& config) {
  if (ids.empty()) return invalid("a token sequence is empty");
  if (ids.size() > config.max_positions)
    return invalid("a token sequence has " + std::to_string(ids.size()) + " tokens; the model takes " +
                   std::to_string(config.max_positions));
  for (const std::int32_t id : ids)
    if (id < 0 || static_cast<std::uint32_t>(id) >= config.vocab_size)
      return invalid("the token id " + std::to_string(id) + " is outside the model's vocabulary of " +
                     std::to_string(config.vocab_size));
  return {};
}

Result<TrimmedExample> trim(const data::Example& example, const ModelConfig& config) {
  SOTTO_CHECK(example.ids.size() == example.labels.size());
  SOTTO_TRY_VOID(check_ids(example.ids, config));
  TrimmedExample trimmed;
  for (std::size_t t = 1; t < example.ids.size(); ++t) {
    const std::int32_t label = example.labels[t];
    if (label == data::kNoLabel) continue;
    SOTTO_TRY_VOID(check_ids(std::span(&label, 1), config));
    trimmed.rows.push_back(static_cast<std::uint32_t>(t - 1));
    trimmed.labels.push_back(label);
  }
  if (trimmed.rows.empty()) return invalid("an example has no labelled token after its first");
  trimmed.ids = std::span(example.ids).first(trimmed.rows.back() + 1);
  return trimmed;
}

LanguageModel::LanguageModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;
LanguageModel::~LanguageModel() = default;

const ModelConfig& LanguageModel::config() const { return state_->weights.config; }
Precision LanguageModel::precision() const { return state_->precision; }
const std::string& LanguageModel::device() const { return state_->device_name; }
bool LanguageModel::is_quantized() const { return !state_->base.packed.empty(); }
std::uint64_t LanguageModel::weight_bytes() const { return state_->weights.bytes; }

Result<LanguageModel> LanguageModel::load(const std::string& path, const LoadOptions& options) {
  return guarded([&]() -> Result<LanguageModel> {
    if (options.threads < 0)
      return invalid("threads = " + std::to_string(options.threads) + ": it must be at least 1, or 0 for all cores");
    SOTTO_TRY(const auto devices, find_devices(options.device));
    SOTTO_TRY(const auto precision, choose_precision(options.precision, devices.front()));
    if (options.quantized_base && std::filesystem::is_directory(path))
      return unsupported(
          "'" + path + "' is a folder, whose weights are not quantised: a base stays quantised in memory from a GGUF file");
    SOTTO_TRY(auto opened, Checkpoint::open(path));
    const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
    if (options.threads > 0) at::set_num_threads(options.threads);
    route_fp32_products();
    auto state = std::make_unique<State>();
    const auto type = precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat;
    state->base = load_weights(checkpoint, {type, devices, options.quantized_base});
    state->weights = state->base;
    keep_heap();  // after the weights, whose buffers go back to the system
    state->precision = precision;
    state->device_name = options.device;
    log(Level::kInfo, "model_loaded",
        {{"parameters", checkpoint->config().parameters()},
         {"precision", to_string(precision)},
         {"quantized", options.quantized_base},
         {"device", options.device},
         {"threads", at::get_num_threads()}});
    return LanguageModel(std::move(state));
  });
}

std::uint32_t LanguageModel::State::prompt_tokens() const {
  return adapter && adapter->prompt_PC.defined() ? static_cast<std::uint32_t>(adapter->prompt_PC.size(0)) : 0;
}

std::vector<std::int32_t> LanguageModel::State::with_prompt(std::span<const std::int32_t> ids) const {
  std::vector<std::int32_t> out;
  out.reserve(prompt_tokens() + ids.size());
  for (std::uint32_t k = 0; k < prompt_tokens(); ++k)
    out.push_back(static_cast<std::int32_t>(weights.config.vocab_size + k));
  out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

Result<void> LanguageModel::State::check(std::span<const std::int32_t> ids) const {
  SOTTO_TRY_VOID(check_ids(ids, weights.config));
  if (ids.size() + prompt_tokens() > weights.config.max_positions)
    return invalid("a token sequence has " + std::to_string(ids.size()) + " tokens; the model takes " +
                   std::to_string(weights.config.max_positions) + ", of which the adapter's prompt is " +
                   std::to_string(prompt_tokens()));
  return {};
}

void LanguageModel::State::put_adapter(const Adapter& state) {
  weights = with_replaced(base, state.replaced);
  adapter = put_on_device(state.lora, TrainedPart::kAB, base);
  if (state.is_dora()) put_magnitudes(*adapter, state, TrainedPart::kAB, weights);
  prompt_heights.reset();
}

void LanguageModel::State::round_head() {
  if (!weights.head.weight_VC.is_same(base.head.weight_VC)) return prepare_head(weights);
  prepare_head(base);
  weights.head = base.head;
}

Heights LanguageModel::State::measured_prompt_heights() {
  if (!prompt_heights) {
    AdapterOnDevice none;
    none.layers.resize(weights.layers.size());
    prompt_heights = measured_heights(weights, adapter ? *adapter : none);
  }
  return *prompt_heights;
}

Result<void> LanguageModel::set_adapter(const Adapter& adapter) {
  SOTTO_TRY_VOID(check_adapter(adapter, config()));
  guarded([&] { state_->put_adapter(adapter); });
  return {};
}

Result<Adapter> LanguageModel::as_dora(AdapterState lora) const {
  SOTTO_TRY_VOID(check_adapter(lora, config()));
  return guarded([&]() -> Result<Adapter> {
    Adapter adapter(std::move(lora));
    const auto on_device = put_on_device(adapter.lora, TrainedPart::kAB, state_->base);
    for (std::size_t l = 0; l < on_device.layers.size(); ++l)
      for (std::size_t kind = 0; kind < kLinearKinds; ++kind)
        if (const auto& one = on_device.layers[l][kind])
          adapter.magnitudes.push_back(to_vector(row_norms(state_->base.layers[l].linears[kind].weight_OI, *one)));
    return adapter;
  });
}

void LanguageModel::clear_adapter() {
  state_->adapter.reset();
  state_->prompt_heights.reset();
  state_->weights = state_->base;
}

Result<Scores> LanguageModel::score(std::span<const std::int32_t> ids, std::size_t top) const {
  SOTTO_TRY_VOID(state_->check(ids));
  return guarded([&]() -> Result<Scores> {
    state_->round_head();
    const at::Tensor x_RC = hidden_of(*state_, ids);
    const OutputHead& head = state_->weights.head;
    Targets targets;
    for (std::size_t t = 0; t + 1 < ids.size(); ++t) {
      targets.rows.push_back(static_cast<std::int64_t>(t));
      targets.labels.push_back(ids[t + 1]);
    }
    Scores scores;
    for (const float loss : token_losses(x_RC, head, targets).loss) {
      scores.token_logprobs.push_back(-static_cast<double>(loss));
      scores.total -= static_cast<double>(loss);
    }
    const at::Tensor logits = all_logits(x_RC.narrow(0, static_cast<std::int64_t>(ids.size()) - 1, 1), head);
    const auto count = static_cast<std::int64_t>(std::min<std::size_t>(top, config().vocab_size));
    auto [values, indices] = at::topk(at::log_softmax(logits, 1).squeeze(0), count);
    values = values.cpu();
    indices = indices.cpu();
    for (std::int64_t i = 0; i < count; ++i)
      scores.top.push_back({static_cast<std::int32_t>(indices.const_data_ptr<std::int64_t>()[i]),
                            static_cast<double>(values.const_data_ptr<float>()[i])});
    return scores;
  });
}

Result<std::vector<ExampleLoss>> LanguageModel::evaluate(std::span<const data::Example> examples) const {
  std::vector<TrimmedExample> trimmed;
  std::vector<std::uint32_t> lengths;
  std::vector<std::vector<std::int32_t>> owned;
  for (const auto& example : examples) {
    SOTTO_TRY(auto one, trim(example, config()));
    SOTTO_TRY_VOID(state_->check(one.ids));
    owned.push_back(state_->with_prompt(one.ids));
    lengths.push_back(static_cast<std::uint32_t>(owned.back().size()));
    trimmed.push_back(std::move(one));
  }
  const std::vector<std::span<const std::int32_t>> sequences(owned.begin(), owned.end());
  const std::vector<std::uint32_t> starts(lengths.size(), 0);
  return guarded([&]() -> Result<std::vector<ExampleLoss>> {
    state_->round_head();
    std::vector<ExampleLoss> result(examples.size());
    for (const Pass& pass : pack(lengths)) {
      const at::Tensor x_RC =
          final_hidden(state_->weights, state_->adapter_or_null(), make_pass(pass, sequences, starts, state_->weights));
      Targets targets;
      std::vector<std::uint32_t> owner;
      for (const auto& segment : pass.segments) {
        const auto& one = trimmed[segment.sequence];
        for (std::size_t i = 0; i < one.rows.size(); ++i) {
          targets.rows.push_back(segment.start + state_->prompt_tokens() + one.rows[i]);
          targets.labels.push_back(one.labels[i]);
          owner.push_back(segment.sequence);
        }
      }
      const auto losses = token_losses(x_RC, state_->weights.head, targets);
      for (std::size_t i = 0; i < owner.size(); ++i) {
        auto& of = result[owner[i]];
        of.loss_sum += static_cast<double>(losses.loss[i]);
        of.tokens += 1;
        of.correct += losses.correct[i] ? 1 : 0;
      }
    }
    return result;
  });
}

Result<std::vector<float>> LanguageModel::logits(std::span<const std::int32_t> ids,
                                                 std::span<const std::uint32_t> rows) const {
  SOTTO_TRY_VOID(state_->check(ids));
  std::vector<std::int64_t> index;
  for (const std::uint32_t row : rows) {
    if (row >= ids.size())
      return invalid("row " + std::to_string(row) + " of a sequence of " + std::to_string(ids.size()) + " tokens");
    index.push_back(row);
  }
  if (index.empty()) return std::vector<float>{};
  return guarded([&]() -> Result<std::vector<float>> {
    state_->round_head();
    const at::Tensor x_RC = hidden_of(*state_, ids);
    return to_vector(all_logits(x_RC.index_select(0, at::tensor(index, at::kLong).to(x_RC.device())), state_->weights.head));
  });
}

Result<std::vector<float>> LanguageModel::hidden_states(std::span<const std::int32_t> ids, std::size_t layers) const {
  SOTTO_TRY_VOID(state_->check(ids));
  if (layers > config().layers)
    return invalid("hidden states after layer " + std::to_string(layers) + " of a model of " +
                   std::to_string(config().layers));
  return guarded([&]() -> Result<std::vector<float>> {
    const at::Tensor x_RC = hidden_after(state_->weights, state_->adapter_or_null(), pass_of(*state_, ids), layers);
    return to_vector(behind_prompt(*state_, x_RC, ids.size()));
  });
}

}  // namespace sotto::model
