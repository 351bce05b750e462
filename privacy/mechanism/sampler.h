// How the units of a step are drawn, exactly as accounted, by RandomSource. Poisson: each unit takes part with probability
// q, independently, decided by 64 fresh random bits against q * 2^64 (units.h: the rate is a multiple of 2^-64, so the
// probability is q to the last bit); nothing is padded or redrawn, and an empty batch is a batch. Truncated Poisson, fixed
// size and random allocation: event.h says what each is, docs/privacy.md which neighbours it is for. Not thread-safe
// (RandomSource is not).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.h"
#include "privacy/mechanism/event.h"
#include "privacy/mechanism/units.h"

namespace sotto::privacy {

struct DrawnUnit {
  std::uint32_t unit = 0;              // index into the units that were sampled from
  std::vector<std::uint32_t> records;  // distinct indices of that unit's records, ascending; at most max_records
  bool operator==(const DrawnUnit&) const = default;
};

// What is sampled from: records_of_unit[u] = number of records of unit u; for Unit::kRecord each is 1. Of a drawn unit's
// records, at most max_records (> 0) are taken, uniformly without replacement.
struct Population {
  Unit unit = Unit::kPatient;
  std::span<const std::uint32_t> records_of_unit;
  std::uint32_t max_records = 1;
};

// Proof that a draw took place, with the parameters that ran. Only the sampler makes one.
class SamplingEvent {
 public:
  Unit unit() const { return event_.unit; }
  SamplingRate rate() const { return event_.sampling_rate; }
  // The event of a step with these samples: the members about unit and sampling; the noise's are the caller's to fill in.
  const DpEvent& event() const { return event_; }

 private:
  friend class SampledUnits;
  explicit SamplingEvent(const DpEvent& event) : event_(event) {}
  DpEvent event_;
};

// Whether so many units may be drawn from as `asked` says, whose accounting may rest on their number; refused with both numbers.
Result<void> check_population(const DpEvent& asked, std::size_t units);

// One step's draw. Move-only and consumed by the sum over it (grid.h): two releases from one draw would not compose as two
// independently sampled steps.
class SampledUnits {
 public:
  // Poisson.
  static SampledUnits draw(Unit unit, std::span<const std::uint32_t> records_of_unit, SamplingRate rate,
                           std::uint32_t max_records, RandomSource& random);

  struct Truncation {
    SamplingRate rate{1.0};
    std::uint64_t batch_size = 1;  // of more units than this, as many stay, uniformly
    std::uint64_t population = 1;  // declared upper bound on the units; more than that are the caller's to refuse
  };
  static SampledUnits draw_truncated(const Population& from, const Truncation& truncation, RandomSource& random);

  // batch_size of all units, uniformly without replacement; at most as many as there are.
  static SampledUnits draw_fixed_size(const Population& from, std::uint64_t batch_size, RandomSource& random);

  // Where a unit falls among `slots` equally likely ones. It must be a function of who the unit is, under a key that nobody else has,
  // and not of the unit's place among the others: data that are sorted anew, or that grow, between two steps of one epoch would
  // otherwise give a unit more steps than are accounted.
  using SlotOf = std::function<std::uint64_t(std::uint32_t unit, std::uint64_t slots)>;

  // Step `step` (1 to steps) of an epoch in which each unit takes part once. `slot_of` must be the same function for every step of the
  // epoch, and independent of every other epoch's; `random` draws the records.
  struct EpochStep {
    std::uint64_t steps = 1;
    std::uint64_t step = 1;
  };
  static SampledUnits draw_allocated(const Population& from, const EpochStep& at, const SlotOf& slot_of,
                                     RandomSource& random);

  // Step `step` (1 to steps) of a run in which each unit takes part once in every `separation` steps, always as far apart. `slot_of`
  // must be the same function for every step of the run; `random` draws the records.
  struct RunStep {
    std::uint64_t separation = 1;
    std::uint64_t steps = 1;
    std::uint64_t step = 1;
  };
  static SampledUnits draw_separated(const Population& from, const RunStep& at, const SlotOf& slot_of, RandomSource& random);

  // As `asked` says: the members of an event about unit and sampling, which the result's own event then has. `slot_of` is for samplers
  // that allocate units to steps; others do not call it.
  static SampledUnits draw(const DpEvent& asked, const Population& from, const SlotOf& slot_of, RandomSource& random);

  SampledUnits(SampledUnits&&) noexcept = default;
  SampledUnits& operator=(SampledUnits&&) noexcept = default;
  SampledUnits(const SampledUnits&) = delete;
  SampledUnits& operator=(const SampledUnits&) = delete;

  const std::vector<DrawnUnit>& units() const { return units_; }  // ascending by unit; may be empty
  const SamplingEvent& event() const { return event_; }

 private:
  SampledUnits(const DpEvent& event, std::vector<DrawnUnit> units) : event_(event), units_(std::move(units)) {}
  SamplingEvent event_;
  std::vector<DrawnUnit> units_;
};

}  // namespace sotto::privacy
