#include "model/trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/head.h"
#include "model/heights.h"
#include "model/lora.h"
#include "model/model_state.h"

namespace sotto::model {
namespace {

// One drawn record on its way through the model.
struct DrawnRecord {
  std::size_t position = 0;  // of its unit in the draw
  std::size_t of_unit = 0;   // which of the unit's drawn records
  std::uint32_t unit = 0;    // DrawnUnit::unit
  std::uint32_t record = 0;  // entry of DrawnUnit::records
  TrimmedExample example;
};

// Gradients of records until their unit is complete. They are added in the order of the unit's records, whatever order they
// came in: floating-point sums depend on it.
class UnitSums {
 public:
  UnitSums(privacy::UnitSink& sink) : sink_(sink), pending_(sink.units().units().size()) {
    for (std::size_t position = 0; position < pending_.size(); ++position) {
      pending_[position].resize(sink.units().units()[position].records.size());
      if (pending_[position].empty()) sink.add(position, std::vector<float>(sink.dimension()));
    }
  }

  void add(const DrawnRecord& record, std::span<const float> gradient) {
    auto& records = pending_[record.position];
    if (records.size() == 1) return sink_.add(record.position, gradient);
    records[record.of_unit].assign(gradient.begin(), gradient.end());
    if (std::ranges::any_of(records, [](const auto& one) { return one.empty(); })) return;
    auto sum = std::move(records.front());
    for (std::size_t k = 1; k < records.size(); ++k)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += records[k][i];
    sink_.add(record.position, sum);
    records.clear();
    records.shrink_to_fit();
  }

 private:
  privacy::UnitSink& sink_;
  std::vector<std::vector<std::vector<float>>> pending_;  // [unit][record][trained number]
};

// Dropout masks of one pass: each record's rows from that record's own stream, one stream a layer, its modules in order.
class DropoutMasks {
 public:
  DropoutMasks(const DropoutStreams& streams, double probability, const Pass& pass, std::span<const DrawnRecord> records,
               const at::Device& device)
      : streams_(streams),
        pass_(pass),
        records_(records),
        device_(device),
        keep_(static_cast<std::uint32_t>(std::lround((1 - probability) * kOne))) {}

  at::Tensor operator()(std::size_t layer, std::int64_t inputs) {
    if (current_.empty() || layer != layer_) open(layer);
    at::Tensor mask = at::zeros({pass_.rows, inputs}, at::kFloat);
    const float kept = static_cast<float>(kOne) / static_cast<float>(keep_);
    std::vector<std::uint8_t> random;
    for (std::size_t s = 0; s < pass_.segments.size(); ++s) {
      const auto& segment = pass_.segments[s];
      random.resize(std::size_t{2} * segment.length * static_cast<std::size_t>(inputs));
      current_[s]->fill(random);
      float* out = mask.data_ptr<float>() + static_cast<std::int64_t>(segment.start) * inputs;
      for (std::size_t i = 0; i < random.size() / 2; ++i)
        out[i] = (random[2 * i] | (random[2 * i + 1] << 8)) < static_cast<int>(keep_) ? kept : 0.0F;
    }
    return mask.to(device_);
  }

 private:
  static constexpr std::uint32_t kOne = 1U << 16;  // 16 random bits an entry

  void open(std::size_t layer) {
    layer_ = layer;
    current_.clear();
    for (const auto& segment : pass_.segments) {
      const auto& record = records_[segment.sequence];
      current_.push_back(streams_(record.unit, record.record, static_cast<std::uint32_t>(layer)));
    }
  }

  const DropoutStreams& streams_;
  const Pass& pass_;
  std::span<const DrawnRecord> records_;
  at::Device device_;
  std::uint32_t keep_;
  std::size_t layer_ = 0;
  std::vector<std::unique_ptr<RandomSource>> current_;
};

// Labelled rows in the products that they meet the vocabulary in. Which one a row is in depends on how many labels its own
// sequence has, on nothing else: as many as fill a tall product, or half of one, go into tall ones.
std::array<Targets, 2> targets_of(const Pass& pass, std::span<const DrawnRecord> records, RecordLoss loss) {
  std::array<Targets, 2> out;
  out[1].height = kTallHeadRows;
  constexpr auto kTall = static_cast<std::size_t>(kTallHeadRows);
  for (const auto& segment : pass.segments) {
    const auto& example = records[segment.sequence].example;
    const std::size_t count = example.rows.size(), rest = count % kTall;
    const std::size_t tall = rest >= kTall / 2 ? count : count - rest;
    const float weight = loss == RecordLoss::kMean ? 1.0F / static_cast<float>(count) : 1.0F;
    for (std::size_t i = 0; i < count; ++i) {
      Targets& targets = out[i < tall ? 1 : 0];
      targets.rows.push_back(segment.start + example.rows[i]);
      targets.labels.push_back(example.labels[i]);
      targets.weights.push_back(weight);
    }
  }
  return out;
}

Result<std::vector<DrawnRecord>> drawn_records(const data::DataSet& data, const privacy::SampledUnits& units,
                                               const ModelConfig& config) {
  std::vector<DrawnRecord> records;
  for (std::size_t position = 0; position < units.units().size(); ++position) {
    const auto& drawn = units.units()[position];
    for (std::size_t k = 0; k < drawn.records.size(); ++k) {
      const auto example = data.units.at(drawn.unit).examples.at(drawn.records[k]);
      SOTTO_TRY(auto trimmed, trim(data.examples.at(example), config));
      records.push_back({position, k, drawn.unit, drawn.records[k], std::move(trimmed)});
    }
  }
  return records;
}

}  // namespace

struct Trainer::State {
  LanguageModel::State* model = nullptr;
  Adapter adapter;
  AdapterOnDevice on_device;  // the same numbers
  TrainedPart part = TrainedPart::kB;
  double dropout = 0;
  Heights heights = Heights::kFixed;

  void put_adapter(const Adapter& next) {
    adapter = next;
    on_device = guarded([&] {
      auto put = put_on_device(next.lora, part, model->weights.config, model->device);
      if (next.is_dora()) put_magnitudes(put, next, part, model->weights);
      return put;
    });
    model->adapter = on_device;
  }

  // Forward and backward of one pass: one gradient for each of its sequences, [sequences, trained numbers].
  at::Tensor gradients(const Pass& pass, std::span<const DrawnRecord> records, RecordLoss loss,
                       const DropoutStreams& streams, BatchLoss& total) const {
    const Weights& weights = model->weights;
    std::vector<std::span<const std::int32_t>> sequences;
    for (const auto& record : records) sequences.push_back(record.example.ids);
    const std::vector<std::uint32_t> starts(records.size(), 0);
    Training training;
    training.gradients = c10::make_intrusive<SequenceGradients>();
    training.gradients->anchor = at::zeros({1}, at::TensorOptions(model->device)).set_requires_grad(true);
    training.gradients->rows_NP = at::zeros(
        {static_cast<std::int64_t>(pass.segments.size()), static_cast<std::int64_t>(adapter.trained_size(part))},
        at::TensorOptions(model->device));
    if (dropout > 0)
      training.dropout = [masks = std::make_shared<DropoutMasks>(streams, dropout, pass, records, model->device)](
                             std::size_t layer, std::int64_t inputs) { return std::optional((*masks)(layer, inputs)); };
    const at::Tensor x_RC = final_hidden(weights, &on_device, make_pass(pass, sequences, starts, weights), &training);
    at::Tensor gradient_RC = at::zeros_like(x_RC, at::TensorOptions().requires_grad(false));
    for (const Targets& targets : targets_of(pass, records, loss)) {
      if (targets.rows.empty()) continue;
      const auto [loss_sum, part_RC] = loss_and_gradient(x_RC.detach(), weights.head, targets);
      gradient_RC.add_(part_RC);  // each row has its gradient from one of them
      total.loss_sum += loss_sum;
      total.tokens += targets.rows.size();
    }
    x_RC.backward(gradient_RC);
    return training.gradients->rows_NP.cpu();
  }
};

Trainer::Trainer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

Result<Trainer> Trainer::make(LanguageModel& model, const Adapter& start, TrainedPart part, double dropout) {
  SOTTO_TRY_VOID(check_adapter(start, model.config()));
  if (!start.replaced.empty())
    return unsupported("the adapter replaces " + start.replaced.begin()->first + " as a whole, and training moves factors alone");
  if (!(dropout >= 0 && dropout < 1)) return invalid("dropout = " + std::to_string(dropout) + ": it must lie in [0, 1)");
  auto state = std::make_unique<State>();
  model.clear_adapter();  // with the parameters that it replaced
  state->model = &model.state();
  state->part = part;
  state->dropout = dropout;
  state->put_adapter(start);
  state->heights = guarded([&] { return measured_heights(model.state().weights, state->on_device); });
  return Trainer(std::move(state));
}

const AdapterLayout& Trainer::layout() const { return state_->adapter.lora.layout; }
TrainedPart Trainer::trained_part() const { return state_->part; }
std::size_t Trainer::dimension() const { return state_->adapter.trained_size(state_->part); }
const Adapter& Trainer::adapter() const { return state_->adapter; }

Result<void> Trainer::set_adapter(const Adapter& adapter) {
  SOTTO_TRY_VOID(check_adapter(adapter, state_->model->weights.config));
  if (adapter.lora.layout != layout() || adapter.is_dora() != state_->adapter.is_dora() || !adapter.replaced.empty())
    return invalid("the new adapter has another layout than the one in training");
  state_->put_adapter(adapter);
  return {};
}

Result<void> Trainer::check(const data::DataSet& data) const {
  for (std::size_t i = 0; i < data.examples.size(); ++i) {
    const auto trimmed = trim(data.examples[i], state_->model->weights.config);
    if (!trimmed.ok()) return invalid("example " + std::to_string(i) + ": " + trimmed.error().message);
  }
  return {};
}

Result<BatchLoss> Trainer::add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                         const DropoutStreams& dropout) {
  SOTTO_CHECK(sink.dimension() == dimension());
  SOTTO_CHECK(state_->dropout == 0 || dropout);
  SOTTO_TRY(const auto records, drawn_records(data, sink.units(), state_->model->weights.config));
  std::vector<std::uint32_t> lengths;
  for (const auto& record : records) lengths.push_back(static_cast<std::uint32_t>(record.example.ids.size()));
  BatchLoss total;
  UnitSums sums(sink);
  guarded([&] {
    for (const Pass& pass : pack(lengths, state_->heights)) {
      const at::Tensor rows_NP = state_->gradients(pass, records, loss, dropout, total);
      for (std::size_t n = 0; n < pass.segments.size(); ++n)
        sums.add(records[pass.segments[n].sequence],
                 std::span(rows_NP.const_data_ptr<float>() + n * dimension(), dimension()));
    }
  });
  return total;
}

Result<privacy::ClippedSum> Trainer::clipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                                 const ClipTo& clip, const DropoutStreams& dropout) {
  if (state_->adapter.is_dora())
    return refused("DoRA is not trained under privacy: noise on B would enter the norm that each row is divided by");
  privacy::GridAccumulator accumulator(std::move(units), clip.grid, clip.clipping);
  SOTTO_TRY(const auto loss, add_gradients(data, accumulator, RecordLoss::kMean, dropout));
  static_cast<void>(loss);  // a function of private records: not used, not told
  return std::move(accumulator).finish();
}

Result<privacy::UnclippedSum> Trainer::unclipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                                     const DropoutStreams& dropout) {
  privacy::UnclippedAccumulator accumulator(std::move(units), dimension());
  SOTTO_TRY(const auto loss, add_gradients(data, accumulator, RecordLoss::kMean, dropout));
  static_cast<void>(loss);
  return std::move(accumulator).finish();
}

void Trainer::step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) {
  auto values = trained_vector(state_->adapter, state_->part);
  optimizer.step(values, mean_gradient, lr);
  state_->put_adapter(with_trained(state_->adapter, state_->part, values));
}

}  // namespace sotto::model
