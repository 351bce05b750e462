#include "privacy/mechanism/sampler.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/check.h"

namespace sotto::privacy {
namespace {

bool takes_part(SamplingRate rate, RandomSource& random) { return rate.always() || random.bits64() < rate.threshold(); }

// A uniform subset of `items` of `wanted` elements, in their order: the first steps of a Fisher-Yates shuffle.
std::vector<std::uint32_t> subset(std::vector<std::uint32_t> items, std::uint64_t wanted, RandomSource& random) {
  if (items.size() <= wanted) return items;
  for (std::size_t i = 0; i < wanted; ++i) std::swap(items[i], items[i + random.below(items.size() - i)]);
  items.resize(wanted);
  std::sort(items.begin(), items.end());
  return items;
}

std::vector<std::uint32_t> first_numbers(std::size_t count) {
  std::vector<std::uint32_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

std::vector<std::uint32_t> poisson(const Population& from, SamplingRate rate, RandomSource& random) {
  std::vector<std::uint32_t> drawn;
  for (std::size_t u = 0; u < from.records_of_unit.size(); ++u)
    if (takes_part(rate, random)) drawn.push_back(static_cast<std::uint32_t>(u));
  return drawn;
}

std::vector<DrawnUnit> with_records(const Population& from, const std::vector<std::uint32_t>& units, RandomSource& random) {
  SOTTO_CHECK(from.max_records > 0);
  std::vector<DrawnUnit> drawn;
  for (const std::uint32_t u : units) {
    SOTTO_CHECK(from.unit != Unit::kRecord || from.records_of_unit[u] == 1);
    drawn.push_back({u, subset(first_numbers(from.records_of_unit[u]), from.max_records, random)});
  }
  return drawn;
}

DpEvent event_of(const Population& from, SamplingKind kind) {
  DpEvent event;
  event.unit = from.unit;
  event.sampling = kind;
  return event;
}

}  // namespace

SampledUnits SampledUnits::draw(Unit unit, std::span<const std::uint32_t> records_of_unit, SamplingRate rate,
                                std::uint32_t max_records, RandomSource& random) {
  const Population from{unit, records_of_unit, max_records};
  DpEvent event = event_of(from, SamplingKind::kPoisson);
  event.sampling_rate = rate;
  return SampledUnits(event, with_records(from, poisson(from, rate, random), random));
}

SampledUnits SampledUnits::draw_truncated(const Population& from, const Truncation& truncation, RandomSource& random) {
  SOTTO_CHECK(truncation.batch_size > 0 && truncation.batch_size <= truncation.population);
  SOTTO_CHECK(from.records_of_unit.size() <= truncation.population);
  DpEvent event = event_of(from, SamplingKind::kTruncatedPoisson);
  event.sampling_rate = truncation.rate;
  event.batch_size = truncation.batch_size;
  event.population = truncation.population;
  const auto units = subset(poisson(from, truncation.rate, random), truncation.batch_size, random);
  return SampledUnits(event, with_records(from, units, random));
}

SampledUnits SampledUnits::draw_fixed_size(const Population& from, std::uint64_t batch_size, RandomSource& random) {
  SOTTO_CHECK(batch_size > 0 && batch_size <= from.records_of_unit.size());
  DpEvent event = event_of(from, SamplingKind::kFixedSize);
  event.batch_size = batch_size;
  event.population = from.records_of_unit.size();
  return SampledUnits(event,
                      with_records(from, subset(first_numbers(from.records_of_unit.size()), batch_size, random), random));
}

SampledUnits SampledUnits::draw_allocated(const Population& from, const EpochStep& at, const SlotOf& slot_of,
                                          RandomSource& random) {
  SOTTO_CHECK(at.step >= 1 && at.step <= at.steps);
  DpEvent event = event_of(from, SamplingKind::kRandomAllocation);
  event.epoch_steps = at.steps;
  event.epoch_step = at.step;
  std::vector<std::uint32_t> units;
  for (std::size_t u = 0; u < from.records_of_unit.size(); ++u)
    if (slot_of(static_cast<std::uint32_t>(u), at.steps) + 1 == at.step) units.push_back(static_cast<std::uint32_t>(u));
  return SampledUnits(event, with_records(from, units, random));
}

SampledUnits SampledUnits::draw_separated(const Population& from, const RunStep& at, const SlotOf& slot_of,
                                          RandomSource& random) {
  SOTTO_CHECK(at.separation >= 1 && at.step >= 1 && at.step <= at.steps);
  DpEvent event = event_of(from, SamplingKind::kMinSeparation);
  event.min_separation = at.separation;
  event.run_steps = at.steps;
  event.run_step = at.step;
  std::vector<std::uint32_t> units;
  for (std::size_t u = 0; u < from.records_of_unit.size(); ++u)
    if (slot_of(static_cast<std::uint32_t>(u), at.separation) == (at.step - 1) % at.separation)
      units.push_back(static_cast<std::uint32_t>(u));
  return SampledUnits(event, with_records(from, units, random));
}

SampledUnits SampledUnits::draw(const DpEvent& asked, const Population& from, const SlotOf& slot_of, RandomSource& random) {
  SOTTO_CHECK(asked.unit == from.unit);
  switch (asked.sampling) {
    case SamplingKind::kPoisson: return draw(from.unit, from.records_of_unit, asked.sampling_rate, from.max_records, random);
    case SamplingKind::kTruncatedPoisson:
      return draw_truncated(from, {asked.sampling_rate, asked.batch_size, asked.population}, random);
    case SamplingKind::kFixedSize: return draw_fixed_size(from, asked.batch_size, random);
    case SamplingKind::kRandomAllocation:
      return draw_allocated(from, {asked.epoch_steps, asked.epoch_step}, slot_of, random);
    case SamplingKind::kMinSeparation:
      return draw_separated(from, {asked.min_separation, asked.run_steps, asked.run_step}, slot_of, random);
  }
  throw Failure("a sampling kind outside its enumeration");
}

Result<void> check_population(const DpEvent& asked, std::size_t units) {
  const std::string counts =
      "the data hold " + std::to_string(units) + " units and the declared size is " + std::to_string(asked.population);
  if (asked.sampling == SamplingKind::kTruncatedPoisson && units > asked.population)
    return refused(counts +
                   ": truncated Poisson sampling is accounted for at most as many; declare a size at or above the true one");
  if (asked.sampling == SamplingKind::kFixedSize && units != asked.population)
    return refused(counts +
                   ": batches of a fixed size are accounted for exactly as many; declare the true size, or use \"poisson\"");
  return {};
}

}  // namespace sotto::privacy
