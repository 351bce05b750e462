// What a run of private steps needs of whatever is trained: an adapter (adapter_trainer.h) or the whole model
// (full_trainer.h). Per-unit gradients go to a privacy::UnitSink, steps come back as means. A unit's gradient is the sum
// over its drawn records of the gradient of that record's loss (the mean over its response tokens); it depends on the unit's
// records, the trained numbers and the dropout streams alone, bit for bit. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/adapter.h"
#include "base/random.h"
#include "data/records/data_set.h"
#include "model/training/optimizer.h"
#include "privacy/mechanism/grid.h"

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

class Training {
 public:
  virtual ~Training() = default;

  virtual std::size_t dimension() const = 0;  // trained numbers, of the round at hand
  virtual std::size_t dimension_in(RoundId) const { return dimension(); }
  virtual void begin_round(RoundId) {}  // where rounds alternate between parts
  // Sizes of the groups that per-layer clipping treats alone; they add up to dimension().
  virtual std::vector<std::size_t> layer_groups() const = 0;

  // Whether every example of `data` can be trained on: token ids in the vocabulary, not too long, at least one labelled
  // token that is not the first. To be asked once, before a run: a step that fails on a record's content would tell about
  // the record.
  virtual Result<void> check(const data::DataSet& data) const = 0;

  // Adds the gradient of every drawn unit to `sink`, in some order: DrawnUnit::unit and ::records index data.units and
  // Unit::examples. A unit without drawn records adds zeros. Fails on a record that check() would have named.
  virtual Result<BatchLoss> add_gradients(const data::DataSet& data, privacy::UnitSink& sink, RecordLoss loss,
                                          const DropoutStreams& dropout = {}) = 0;

  // The same into a fresh privacy::GridAccumulator, where it may be private. grid.dimension() is dimension(), or one more
  // where clipped units are counted; a grid alone means flat clipping at its own norm.
  Result<privacy::ClippedSum> clipped_sum(const data::DataSet& data, privacy::SampledUnits&& units, const ClipTo& clip,
                                          const DropoutStreams& dropout = {});
  // ... and into a privacy::UnclippedAccumulator, for runs declared non-private.
  Result<privacy::UnclippedSum> unclipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                              const DropoutStreams& dropout = {});

  // Refused: what is not trained under privacy.
  virtual Result<void> may_be_private() const { return {}; }

  // Of several processes each computes its own units from now on, and sums are over all (privacy/mechanism/workers.h).
  void share_with(privacy::Workers* workers) { workers_ = workers; }

  // Gradient checkpointing: a third more time a step, and of a pass's activations one layer's at a time instead of all. The
  // same gradients, bit for bit.
  void recompute_layers(bool on) { recomputes_layers_ = on; }

  // One optimizer step on the trained numbers with a released mean (NoisySum::mean, NonPrivateSum::mean).
  virtual void step(Optimizer& optimizer, std::span<const float> mean_gradient, double lr) = 0;

  // Every number that training may move, in any round: to go on from later. Refused: another size, values not finite.
  virtual std::vector<float> state() const = 0;
  virtual Result<void> set_state(std::span<const float> state) = 0;

 protected:
  bool recomputes_layers_ = false;

 private:
  privacy::Workers* workers_ = nullptr;
};

}  // namespace sotto::model
