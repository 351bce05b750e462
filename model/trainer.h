// DP-SGD's model side: per-unit gradients of a LoRA adapter in one backward pass, and steps on its trained numbers.
// A unit's gradient is the sum over its drawn records of the gradient of that record's loss (the mean over its response
// tokens). It depends on the unit's records, the adapter and the dropout streams alone, bit for bit: not on the other units,
// on where they stand, or on the number of threads (language_model.h says how; tests/model compares). Each unit's gradient
// goes to a privacy::UnitSink, which clips and rounds it on its own; no other sum is formed. Training without privacy takes
// the same path into another sink. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/run_plan.h"
#include "data/data_set.h"
#include "model/language_model.h"
#include "model/optimizer.h"
#include "privacy/grid.h"
#include "privacy/noise.h"

namespace sotto::model {

// The stream that a record's dropout masks in one layer are drawn from: a function of (step, unit, record, layer), keyed by
// a secret of the site. `unit` and `record` are DrawnUnit::unit and an entry of DrawnUnit::records. Empty: no dropout.
using DropoutStreams =
    std::function<std::unique_ptr<RandomSource>(std::uint32_t unit, std::uint32_t record, std::uint32_t layer)>;

enum class RecordLoss : std::uint8_t {
  kMean,  // over the record's response tokens: what a private run uses
  kSum,   // so that (sum of gradients) / (sum of response tokens) is the gradient of the batch's mean token loss
};

struct BatchLoss {
  double loss_sum = 0;       // over all response tokens: a function of private records, never to be sent or logged
  std::uint64_t tokens = 0;  // response tokens
};

struct ClipTo {
  privacy::Grid grid;
  privacy::Clipping clipping;
  ClipTo(const privacy::Grid& to) : grid(to), clipping(privacy::flat_clipping(to.clip())) {}
  ClipTo(const privacy::Grid& to, privacy::Clipping how) : grid(to), clipping(std::move(how)) {}
};

class Trainer {
 public:
  // `model` must outlive the trainer; its adapter becomes the trainer's. `start` has the layout that lora_layout() gives.
  // dropout is the probability that an input of A is dropped, in training only. DoRA's magnitudes are trained beside the
  // factors, without privacy alone (docs/adapters.md). Refused: parameters replaced as a whole.
  static Result<Trainer> make(LanguageModel& model, const Adapter& start, TrainedPart part, double dropout = 0);
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;
  ~Trainer();

  const AdapterLayout& layout() const;
  TrainedPart trained_part() const;
  std::size_t dimension() const;  // adapter().trained_size(trained_part())

  // The adapter as it stands; and another one of the same layout in its place (between rounds).
  const Adapter& adapter() const;
  Result<void> set_adapter(const Adapter& adapter);

  // Whether every example of `data` can be trained on: token ids in the vocabulary, not too long, at least one labelled
  // token that is not the first. To be asked once, before a run: a step that fails on a record's content would tell about
  // the record.
  Result<void> check(const data::DataSet& data) const;

  // Adds the gradient of every drawn unit to `sink`, in some order: DrawnUnit::unit and ::records index data.units and
  // Unit::examples. A unit without drawn records adds zeros. Fails on a record that check() would have named.
  Result<BatchLoss> add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                  const DropoutStreams& dropout = {});

  // The same into a fresh privacy::GridAccumulator. grid.dimension() is dimension(), or one more where clipped units are
  // counted; a grid alone means flat clipping at its own norm. Refused for DoRA.
  Result<privacy::ClippedSum> clipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                          const ClipTo& clip, const DropoutStreams& dropout = {});
  // ... and into a privacy::UnclippedAccumulator, for runs declared non-private.
  Result<privacy::UnclippedSum> unclipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                              const DropoutStreams& dropout = {});

  // One optimizer step on the trained numbers with a released mean (NoisySum::mean, NonPrivateSum::mean).
  void step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr);

 private:
  struct State;
  explicit Trainer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::model
