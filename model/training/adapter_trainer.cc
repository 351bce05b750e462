#include "model/training/adapter_trainer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/adapter/lora.h"
#include "model/inference/model_state.h"
#include "model/network/heights.h"
#include "model/network/output_head.h"

namespace sotto::model {
namespace {

// One drawn record on its way through the model.
struct DrawnRecord {
  std::size_t position = 0;  // of its unit in the draw
  std::size_t of_unit = 0;   // which of the unit's drawn records
  std::uint32_t unit = 0;    // DrawnUnit::unit
  std::uint32_t record = 0;  // entry of DrawnUnit::records
  TrimmedExample example;
  std::vector<std::int32_t> ids;  // the example's, behind the adapter's prompt; example.rows count in them
};

// Gradients of records until their unit is complete. They are added in the order of the unit's records, whatever order they
// came in: floating-point sums depend on it.
class UnitSums {
 public:
  UnitSums(privacy::UnitSink& sink) : sink_(sink), pending_(sink.units().units().size()) {
    for (std::size_t position = 0; position < pending_.size(); ++position) {
      pending_[position].resize(sink.units().units()[position].records.size());
      if (pending_[position].empty() && sink.wants(position)) sink.add(position, std::vector<float>(sink.dimension()));
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
  DropoutMasks(const DropoutStreams& streams, double probability, const Pass& pass, std::span<const DrawnRecord> records)
      : streams_(streams),
        pass_(pass),
        records_(records),
        keep_(static_cast<std::uint32_t>(std::lround((1 - probability) * kOne))) {}

  // The layer's streams from their beginning: where it is computed again, its masks are the same.
  void begin(std::size_t layer) {
    current_.clear();
    for (const auto& segment : pass_.segments) {
      const auto& record = records_[segment.sequence];
      current_.push_back(streams_(record.unit, record.record, static_cast<std::uint32_t>(layer)));
    }
  }

  at::Tensor operator()(std::size_t /*layer*/, std::int64_t inputs) {
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
    return mask;
  }

 private:
  static constexpr std::uint32_t kOne = 1U << 16;  // 16 random bits an entry

  const DropoutStreams& streams_;
  const Pass& pass_;
  std::span<const DrawnRecord> records_;
  std::uint32_t keep_;
  std::vector<std::unique_ptr<RandomSource>> current_;
};

// Labelled rows in the products that they meet the vocabulary in. Unless these may have any height, which one a row is in
// depends on how many labels its own sequence has, on nothing else: as many as fill a tall product, or half of one, go into
// tall ones.
std::array<Targets, 2> targets_of(const Pass& pass, std::span<const DrawnRecord> records, RecordLoss loss, Heights heights,
                                  std::int64_t vocabulary) {
  std::array<Targets, 2> out;
  if (heights == Heights::kAny) out[0].heights = head_heights(vocabulary);
  out[1].heights = {kTallHeadRows};
  constexpr auto kTall = static_cast<std::size_t>(kTallHeadRows);
  for (const auto& segment : pass.segments) {
    const auto& example = records[segment.sequence].example;
    const std::size_t count = example.rows.size(), rest = count % kTall;
    const std::size_t tall = heights == Heights::kAny ? 0 : rest >= kTall / 2 ? count : count - rest;
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

Result<std::vector<DrawnRecord>> drawn_records(const data::DataSet& data, const privacy::UnitSink& sink,
                                               const LanguageModel::State& model) {
  std::vector<DrawnRecord> records;
  for (std::size_t position = 0; position < sink.units().units().size(); ++position) {
    if (!sink.wants(position)) continue;
    const auto& drawn = sink.units().units()[position];
    for (std::size_t k = 0; k < drawn.records.size(); ++k) {
      const auto example = data.units.at(drawn.unit).examples.at(drawn.records[k]);
      SOTTO_TRY(auto trimmed, trim(data.examples.at(example), model.weights.config));
      for (auto& row : trimmed.rows) row += model.prompt_tokens();
      auto ids = model.with_prompt(trimmed.ids);
      records.push_back({position, k, drawn.unit, drawn.records[k], std::move(trimmed), std::move(ids)});
    }
  }
  return records;
}

}  // namespace

struct AdapterTrainer::State {
  LanguageModel::State* model = nullptr;
  Adapter adapter;
  AdapterOnDevice on_device;  // the same numbers
  TrainedPart trained = TrainedPart::kB;
  TrainedPart part = TrainedPart::kB;  // of the round at hand
  double dropout = 0;
  Heights heights = Heights::kFixed;
  bool recomputes_layers = false;

  void put_adapter(const Adapter& next) {
    adapter = next;
    on_device = guarded([&] {
      auto put = put_on_device(next.lora, part, model->weights);
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
    for (const auto& record : records) sequences.push_back(record.ids);
    const std::vector<std::uint32_t> starts(records.size(), 0);
    TrainingPass training;
    training.gradients = c10::make_intrusive<SequenceGradients>();
    const auto on_first = at::TensorOptions(weights.embedding_VC.device());
    training.gradients->anchor = at::zeros({1}, on_first).set_requires_grad(true);
    training.gradients->rows_NP = at::zeros(
        {static_cast<std::int64_t>(pass.segments.size()), static_cast<std::int64_t>(adapter.trained_size(part))}, on_first);
    training.recomputes_layers = recomputes_layers;
    if (dropout > 0) {
      const auto masks = std::make_shared<DropoutMasks>(streams, dropout, pass, records);
      training.dropout = [masks](std::size_t layer, std::int64_t inputs) { return std::optional((*masks)(layer, inputs)); };
      training.begin_layer = [masks](std::size_t layer) { masks->begin(layer); };
    }
    const at::Tensor x_RC = final_hidden(weights, &on_device, make_pass(pass, sequences, starts, weights), &training);
    at::Tensor gradient_RC = at::zeros_like(x_RC, at::TensorOptions().requires_grad(false));
    for (const Targets& targets : targets_of(pass, records, loss, heights, weights.head.weight_VC.size(0))) {
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

AdapterTrainer::AdapterTrainer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdapterTrainer::AdapterTrainer(AdapterTrainer&&) noexcept = default;
AdapterTrainer& AdapterTrainer::operator=(AdapterTrainer&&) noexcept = default;
AdapterTrainer::~AdapterTrainer() = default;

Result<AdapterTrainer> AdapterTrainer::make(LanguageModel& model, const Adapter& start, TrainedPart trained,
                                            double dropout) {
  SOTTO_TRY_VOID(check_adapter(start, model.config()));
  if (!start.replaced.empty())
    return unsupported("the adapter replaces " + start.replaced.begin()->first +
                       " as a whole, and training moves factors alone");
  if (!(dropout >= 0 && dropout < 1)) return invalid("dropout = " + std::to_string(dropout) + ": it must lie in [0, 1)");
  auto state = std::make_unique<State>();
  model.clear_adapter();  // with the parameters that it replaced
  state->model = &model.state();
  state->trained = trained;
  state->part = part_in_round(trained, RoundId(0));
  state->dropout = dropout;
  state->put_adapter(start);
  state->heights = guarded([&] {
    prepare_head(model.state().weights);
    return measured_heights(model.state().weights, state->on_device);
  });
  return AdapterTrainer(std::move(state));
}

const AdapterLayout& AdapterTrainer::layout() const { return state_->adapter.lora.layout; }
TrainedPart AdapterTrainer::trained_part() const { return state_->part; }
std::size_t AdapterTrainer::dimension() const { return state_->adapter.trained_size(state_->part); }
const Adapter& AdapterTrainer::adapter() const { return state_->adapter; }

Result<void> AdapterTrainer::set_adapter(const Adapter& adapter) {
  SOTTO_TRY_VOID(check_adapter(adapter, state_->model->weights.config));
  if (adapter.lora.layout != layout() || adapter.is_dora() != state_->adapter.is_dora() || !adapter.replaced.empty())
    return invalid("the new adapter has another layout than the one in training");
  state_->put_adapter(adapter);
  return {};
}

std::size_t AdapterTrainer::dimension_in(RoundId round) const {
  return state_->adapter.trained_size(part_in_round(state_->trained, round));
}

void AdapterTrainer::begin_round(RoundId round) {
  const TrainedPart part = part_in_round(state_->trained, round);
  if (part == state_->part) return;
  state_->part = part;
  state_->put_adapter(Adapter(state_->adapter));
}

std::vector<std::size_t> AdapterTrainer::layer_groups() const {
  std::vector<std::size_t> groups;
  std::string layer;
  for (const auto& module : layout().modules) {
    const auto digits = module.path.find_first_of("0123456789");
    const std::string own = module.path.substr(0, module.path.find('.', digits));
    if (groups.empty() || own != layer) groups.push_back(0);
    layer = own;
    groups.back() += AdapterLayout{{module}}.trained_size(state_->part);
  }
  if (groups.empty()) groups.push_back(dimension());  // a prompt lies in no layer
  return groups;
}

std::vector<float> AdapterTrainer::state() const {
  return trained_vector(adapter(), trains_lora(state_->trained) ? TrainedPart::kAB : TrainedPart::kPrompt);
}

Result<void> AdapterTrainer::set_state(std::span<const float> state) {
  const auto part = trains_lora(state_->trained) ? TrainedPart::kAB : TrainedPart::kPrompt;
  if (state.size() != state_->adapter.trained_size(part))
    return invalid("a state of " + std::to_string(state.size()) + " numbers is not of this adapter, which has " +
                   std::to_string(state_->adapter.trained_size(part)));
  if (!std::ranges::all_of(state, [](float v) { return std::isfinite(v); }))
    return invalid("the state has numbers that are not finite");
  state_->put_adapter(with_trained(state_->adapter, part, state));
  return {};
}

Result<void> AdapterTrainer::check(const data::DataSet& data) const {
  for (std::size_t i = 0; i < data.examples.size(); ++i) {
    const auto trimmed = trim(data.examples[i], state_->model->weights.config);
    if (!trimmed.ok()) return invalid("example " + std::to_string(i) + ": " + trimmed.error().message);
    if (const auto fits = state_->model->check(trimmed->ids); !fits.ok())
      return invalid("example " + std::to_string(i) + ": " + fits.error().message);
  }
  return {};
}

Result<BatchLoss> AdapterTrainer::add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                                const DropoutStreams& dropout) {
  SOTTO_CHECK(sink.dimension() == dimension());
  SOTTO_CHECK(state_->dropout == 0 || dropout);
  SOTTO_TRY(const auto records, drawn_records(data, sink, *state_->model));
  std::vector<std::uint32_t> lengths;
  for (const auto& record : records) lengths.push_back(static_cast<std::uint32_t>(record.ids.size()));
  state_->recomputes_layers = recomputes_layers_;
  BatchLoss total;
  UnitSums sums(sink);
  guarded([&] {
    prepare_head(state_->model->weights);
    for (const Pass& pass : pack(lengths, state_->heights)) {
      const at::Tensor rows_NP = state_->gradients(pass, records, loss, dropout, total);
      for (std::size_t n = 0; n < pass.segments.size(); ++n)
        sums.add(records[pass.segments[n].sequence],
                 std::span(rows_NP.const_data_ptr<float>() + n * dimension(), dimension()));
    }
  });
  return total;
}

Result<void> AdapterTrainer::may_be_private() const {
  if (!state_->adapter.is_dora()) return {};
  return refused("DoRA is not trained under privacy: noise on B would enter the norm that each row is divided by");
}

void AdapterTrainer::step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) {
  auto values = trained_vector(state_->adapter, state_->part);
  optimizer.step(values, mean_gradient, lr);
  state_->put_adapter(with_trained(state_->adapter, state_->part, values));
}

}  // namespace sotto::model
