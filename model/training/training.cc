#include "model/training/training.h"

namespace sotto::model {

Result<privacy::ClippedSum> Training::clipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                                  const ClipTo& clip, const DropoutStreams& dropout) {
  SOTTO_TRY_VOID(may_be_private());
  privacy::GridAccumulator sink(std::move(units), clip.grid, clip.clipping, workers_);
  SOTTO_TRY([[maybe_unused]] const auto loss, add_gradients(data, sink, RecordLoss::kMean, dropout));
  return std::move(sink).finish();
}

Result<privacy::UnclippedSum> Training::unclipped_sum(const data::DataSet& data, privacy::SampledUnits&& units,
                                                      const DropoutStreams& dropout) {
  privacy::UnclippedAccumulator sink(std::move(units), dimension(), workers_);
  SOTTO_TRY([[maybe_unused]] const auto loss, add_gradients(data, sink, RecordLoss::kMean, dropout));
  return std::move(sink).finish();
}

}  // namespace sotto::model
