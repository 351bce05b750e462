#include "model/training/full_trainer.h"

#include <algorithm>
#include <cmath>

#include "model/inference/model_state.h"
#include "model/network/whole_gradients.h"

namespace sotto::model {
namespace {

// One drawn unit: its records one after another.
struct DrawnWhole {
  std::size_t position = 0;  // in the draw
  std::vector<TrimmedExample> examples;
  std::uint32_t length = 0;  // tokens in all
};

Result<std::vector<DrawnWhole>> drawn_units(const data::DataSet& data, const privacy::UnitSink& sink,
                                            const ModelConfig& config) {
  std::vector<DrawnWhole> out;
  for (std::size_t position = 0; position < sink.units().units().size(); ++position) {
    if (!sink.wants(position)) continue;
    const auto& drawn = sink.units().units()[position];
    DrawnWhole unit{position, {}, 0};
    for (const auto record : drawn.records) {
      SOTTO_TRY(auto trimmed, trim(data.examples.at(data.units.at(drawn.unit).examples.at(record)), config));
      unit.length += static_cast<std::uint32_t>(trimmed.ids.size());
      unit.examples.push_back(std::move(trimmed));
    }
    out.push_back(std::move(unit));
  }
  return out;
}

// A pass of whole units, and its records as sequences of their own.
struct UnitsPass {
  Pass pass;  // segments are records
  std::vector<std::span<const std::int32_t>> sequences;
  std::vector<const DrawnWhole*> units;
  std::vector<std::uint32_t> starts;  // of the units
};

std::vector<UnitsPass> passes_of(const std::vector<DrawnWhole>& units) {
  std::vector<std::uint32_t> lengths;
  std::vector<const DrawnWhole*> with_records;
  for (const auto& unit : units) {
    if (unit.length == 0) continue;
    lengths.push_back(unit.length);
    with_records.push_back(&unit);
  }
  std::vector<UnitsPass> out;
  for (const Pass& packed : pack(lengths)) {
    UnitsPass pass{{packed.rows, {}}, {}, {}, {}};
    for (const auto& segment : packed.segments) {
      const DrawnWhole& unit = *with_records[segment.sequence];
      pass.units.push_back(&unit);
      pass.starts.push_back(segment.start);
      std::uint32_t at = segment.start;
      for (const auto& example : unit.examples) {
        const auto length = static_cast<std::uint32_t>(example.ids.size());
        pass.pass.segments.push_back({static_cast<std::uint32_t>(pass.sequences.size()), at, length});
        pass.sequences.push_back(example.ids);
        at += length;
      }
    }
    out.push_back(std::move(pass));
  }
  return out;
}

Targets targets_of(const DrawnWhole& unit, std::uint32_t start, RecordLoss loss, std::int64_t vocabulary) {
  Targets targets;
  targets.heights = head_heights(vocabulary);
  for (const auto& example : unit.examples) {
    const float weight = loss == RecordLoss::kMean ? 1.0F / static_cast<float>(example.rows.size()) : 1.0F;
    for (std::size_t i = 0; i < example.rows.size(); ++i) {
      targets.rows.push_back(start + example.rows[i]);
      targets.labels.push_back(example.labels[i]);
      targets.weights.push_back(weight);
    }
    start += static_cast<std::uint32_t>(example.ids.size());
  }
  return targets;  // of one unit alone: heights that depend on how many there are depend on nothing else
}

}  // namespace

struct FullTrainer::State {
  explicit State(LanguageModel::State& of) : model(of), parameters(of.weights) {}

  LanguageModel::State& model;
  ModelParameters parameters;
  bool recomputes_layers = false;
  std::vector<float> values;  // of all parameters, in order, fp32

  std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> out;
    for (const auto& tensor : parameters.tensors) out.push_back(static_cast<std::size_t>(tensor.numel()));
    return out;
  }

  void read() {
    values.clear();
    values.reserve(parameters.numbers);
    for (const auto& tensor : parameters.tensors) {
      const at::Tensor own = tensor.to(at::kFloat).cpu().contiguous();
      values.insert(values.end(), own.const_data_ptr<float>(), own.const_data_ptr<float>() + own.numel());
    }
  }

  void write() {
    float* from = values.data();
    for (at::Tensor& tensor : parameters.tensors) {
      tensor.copy_(at::from_blob(from, tensor.sizes(), at::kFloat));
      from += tensor.numel();
    }
    OutputHead& head = model.weights.head;
    if (head.rounded_VC.defined() && !head.rounded_VC.is_same(head.weight_VC)) head.rounded_VC.copy_(head.weight_VC);
  }

  void add(const UnitsPass& units, privacy::UnitSink& sink, RecordLoss loss, BatchLoss& total) const {
    const Weights& weights = model.weights;
    const std::vector<std::uint32_t> starts(units.sequences.size(), 0);
    TrainingPass training;
    training.recomputes_layers = recomputes_layers;
    training.whole = c10::make_intrusive<WholeGradients>();
    training.whole->anchor = at::zeros({1}, at::TensorOptions(weights.embedding_VC.device())).set_requires_grad(true);
    const PassRowsPtr pass = make_pass(units.pass, units.sequences, starts, weights);
    const at::Tensor x_RC = final_hidden(weights, nullptr, pass, &training);
    at::Tensor gradient_RC = at::zeros_like(x_RC, at::TensorOptions().requires_grad(false));
    std::vector<UnitRows> rows;
    for (std::size_t u = 0; u < units.units.size(); ++u) {
      const auto targets = targets_of(*units.units[u], units.starts[u], loss, weights.head.weight_VC.size(0));
      rows.push_back({units.starts[u], units.units[u]->length, loss_and_derivative(x_RC.detach(), weights.head, targets)});
      gradient_RC.add_(rows.back().head.gradient_RC);
      rows.back().head.gradient_RC.reset();
      total.loss_sum += rows.back().head.loss_sum;
      total.tokens += targets.rows.size();
    }
    x_RC.backward(gradient_RC);
    for (std::size_t u = 0; u < units.units.size(); ++u) {
      const UnitGradient gradient(weights, parameters, *training.whole, *pass, rows[u]);
      sink.add_pieces(units.units[u]->position,
                      {sizes(), gradient.squared_norms(), [&](const auto& take) { gradient.visit(take); }});
    }
  }
};

FullTrainer::FullTrainer(LanguageModel& model) {
  SOTTO_CHECK(!model.is_quantized() && model.device().find(',') == std::string::npos);
  model.clear_adapter();
  state_ = std::make_unique<State>(model.state());
  guarded([&] { state_->read(); });
}
FullTrainer::FullTrainer(FullTrainer&&) noexcept = default;
FullTrainer& FullTrainer::operator=(FullTrainer&&) noexcept = default;
FullTrainer::~FullTrainer() = default;

std::size_t FullTrainer::dimension() const { return state_->parameters.numbers; }

// The parameters of one layer together; each of the others by itself.
std::vector<std::size_t> FullTrainer::layer_groups() const {
  const auto& names = state_->parameters.names;
  const auto sizes = state_->sizes();
  const auto layer_of = [](const std::string& name) {
    const auto digits = name.find_first_of("0123456789");
    return digits == std::string::npos ? name : name.substr(0, name.find('.', digits));
  };
  std::vector<std::size_t> groups;
  for (std::size_t p = 0; p < names.size(); ++p) {
    if (p == 0 || layer_of(names[p]) != layer_of(names[p - 1])) groups.push_back(0);
    groups.back() += sizes[p];
  }
  return groups;
}

Result<void> FullTrainer::check(const data::DataSet& data) const {
  for (std::size_t i = 0; i < data.examples.size(); ++i) {
    const auto trimmed = trim(data.examples[i], state_->model.weights.config);
    if (!trimmed.ok()) return invalid("example " + std::to_string(i) + ": " + trimmed.error().message);
  }
  return {};
}

Result<BatchLoss> FullTrainer::add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                             const DropoutStreams& dropout) {
  SOTTO_CHECK(!dropout && sink.dimension() == dimension());
  SOTTO_TRY(const auto units, drawn_units(data, sink, state_->model.weights.config));
  state_->recomputes_layers = recomputes_layers_;
  BatchLoss total;
  guarded([&] {
    prepare_head(state_->model.weights);
    const auto sizes = state_->sizes();
    const privacy::GradientPieces zeros{sizes, std::vector<double>(sizes.size()), [&](const auto& take) {
                                          for (std::size_t p = 0; p < sizes.size(); ++p)
                                            take(p, std::vector<float>(sizes[p]));
                                        }};
    for (const auto& unit : units)
      if (unit.length == 0) sink.add_pieces(unit.position, zeros);
    for (const auto& pass : passes_of(units)) state_->add(pass, sink, loss, total);
  });
  return total;
}

void FullTrainer::step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) {
  optimizer.step(state_->values, mean_gradient, lr);
  guarded([&] { state_->write(); });
}

std::vector<float> FullTrainer::state() const { return state_->values; }

Result<void> FullTrainer::set_state(std::span<const float> state) {
  if (state.size() != dimension())
    return invalid("a state of " + std::to_string(state.size()) + " numbers is not of this model, which has " +
                   std::to_string(dimension()));
  if (!std::ranges::all_of(state, [](float v) { return std::isfinite(v); }))
    return invalid("the state has numbers that are not finite");
  state_->values.assign(state.begin(), state.end());
  guarded([&] { state_->write(); });
  return {};
}

Adapter FullTrainer::parameters() const {
  Adapter out;
  const auto infos = weight_infos(state_->model.weights.config);
  auto from = state_->values.begin();
  for (const auto& info : infos) {
    const auto size = static_cast<std::ptrdiff_t>(state_->parameters.tensors[out.replaced.size()].numel());
    out.replaced.emplace(info.name, Parameter{info.shape, std::vector<float>(from, from + size)});
    from += size;
  }
  if (state_->model.weights.config.tied_embeddings) {
    const auto outer = outer_names(state_->model.weights.config);
    out.replaced.emplace(outer.head + ".weight", out.replaced.at(outer.embedding + ".weight"));
  }
  return out;
}

}  // namespace sotto::model
