// A RandomSource with a fixed seed, for tests only: SplitMix64. No program links it.
#pragma once

#include "base/random.h"

namespace sotto {

class FixedRandom final : public RandomSource {
 public:
  explicit FixedRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::uint64_t state_;
};

// Slots of units that follow from `seed` and the unit alone: what a keyed function gives a sampler.
inline auto fixed_slots(std::uint64_t seed) {
  return [seed](std::uint32_t unit, std::uint64_t slots) { return FixedRandom(seed * 1000003 + unit).below(slots); };
}

}  // namespace sotto
