// What is random about a unit and must be the same whenever it is asked for: in which step of an epoch it takes part, and the dropout
// masks of its records. Streams from the site's secret run key, named by who the unit is and never by its place: data that are sorted
// anew, or patients who come and go, move nobody else. One object a run and data set; not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "client/site/site_folder.h"
#include "crypto/stream_random.h"
#include "data/records/data_set.h"
#include "privacy/mechanism/sampler.h"

namespace sotto::client {

class UnitStreams {
 public:
  // `key` must outlive this.
  UnitStreams(const RunKey& key, const RunId& run, const data::DataSet& data, PrivacyUnit unit);

  // For an epoch of `slots` steps: the same slot at every call, and independent ones in other epochs. A run has one number of slots.
  privacy::SampledUnits::SlotOf slots_in(std::uint64_t epoch);
  // PRF(run key; run, step, unit, record, layer).
  crypto::StreamRandom dropout(std::uint64_t step, std::uint32_t unit, std::uint32_t record, std::uint32_t layer) const;

 private:
  const RunKey* key_;
  RunId run_;
  std::vector<Digest> who_;           // each unit is
  std::vector<std::uint64_t> slots_;  // of the units in slots_epoch_, derived once an epoch
  std::uint64_t slots_epoch_ = 0;
};

}  // namespace sotto::client
