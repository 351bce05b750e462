#include "privacy/sampler.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace sotto::privacy {
namespace {

bool takes_part(SamplingRate rate, RandomSource& random) { return rate.always() || random.bits64() < rate.threshold(); }

// A uniform subset of {0, ..., count - 1} of `wanted` elements: the first steps of a Fisher-Yates shuffle.
std::vector<std::uint32_t> draw_records(std::uint32_t count, std::uint32_t wanted, RandomSource& random) {
  std::vector<std::uint32_t> records(count);
  std::iota(records.begin(), records.end(), 0U);
  if (count <= wanted) return records;
  for (std::uint32_t i = 0; i < wanted; ++i) {
    std::swap(records[i], records[i + static_cast<std::uint32_t>(random.below(count - i))]);
  }
  records.resize(wanted);
  std::sort(records.begin(), records.end());
  return records;
}

}  // namespace

SampledUnits SampledUnits::draw(Unit unit, std::span<const std::uint32_t> records_of_unit, SamplingRate rate,
                                std::uint32_t max_records, RandomSource& random) {
  SOTTO_CHECK(max_records > 0);
  std::vector<DrawnUnit> drawn;
  for (std::size_t u = 0; u < records_of_unit.size(); ++u) {
    SOTTO_CHECK(unit != Unit::kRecord || records_of_unit[u] == 1);
    if (!takes_part(rate, random)) continue;
    drawn.push_back({static_cast<std::uint32_t>(u), draw_records(records_of_unit[u], max_records, random)});
  }
  return SampledUnits(SamplingEvent(unit, rate), std::move(drawn));
}

}  // namespace sotto::privacy
