// Poisson sampling of privacy units, exactly as accounted: each unit takes part with probability q, independently, decided
// by 64 fresh random bits against q * 2^64 (units.h: the rate is a multiple of 2^-64, so the probability is q to the last
// bit). Nothing is truncated, padded or redrawn; an empty batch is a batch. Not thread-safe (RandomSource is not).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "privacy/units.h"

namespace sotto::privacy {

struct DrawnUnit {
  std::uint32_t unit = 0;              // index into the units that were sampled from
  std::vector<std::uint32_t> records;  // distinct indices of that unit's records, ascending; at most max_records
  bool operator==(const DrawnUnit&) const = default;
};

// Proof that a Poisson draw took place, with the rate that ran. Only the sampler makes one.
class SamplingEvent {
 public:
  Unit unit() const { return unit_; }
  SamplingRate rate() const { return rate_; }

 private:
  friend class SampledUnits;
  SamplingEvent(Unit unit, SamplingRate rate) : unit_(unit), rate_(rate) {}
  Unit unit_;
  SamplingRate rate_;
};

// One step's draw. Move-only and consumed by the sum over it (grid.h): two releases from one draw would not compose as two
// independently sampled steps.
class SampledUnits {
 public:
  // records_of_unit[u] = number of records of unit u; for Unit::kRecord each is 1. Of a drawn unit's records, at most
  // max_records (> 0) are taken, uniformly without replacement.
  static SampledUnits draw(Unit unit, std::span<const std::uint32_t> records_of_unit, SamplingRate rate,
                           std::uint32_t max_records, RandomSource& random);

  SampledUnits(SampledUnits&&) noexcept = default;
  SampledUnits& operator=(SampledUnits&&) noexcept = default;
  SampledUnits(const SampledUnits&) = delete;
  SampledUnits& operator=(const SampledUnits&) = delete;

  const std::vector<DrawnUnit>& units() const { return units_; }  // ascending by unit; may be empty
  const SamplingEvent& event() const { return event_; }

 private:
  SampledUnits(SamplingEvent event, std::vector<DrawnUnit> units) : event_(event), units_(std::move(units)) {}
  SamplingEvent event_;
  std::vector<DrawnUnit> units_;
};

}  // namespace sotto::privacy
