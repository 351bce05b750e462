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

}  // namespace sotto
