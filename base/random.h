// RandomSource: the only source of security-relevant randomness (keys, nonces, shares, masks, DP noise, Poisson sampling,
// stochastic rounding). It has two kinds, both in crypto/: SystemRandom (the operating system) and StreamRandom (a keyed
// AES-256-CTR stream). It is passed in, never global, and never seeded by a config. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>

namespace sotto {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;

  std::uint64_t bits64();
  // Uniform on {0, ..., bound - 1}, exactly (rejection sampling); bound > 0.
  std::uint64_t below(std::uint64_t bound);
};

}  // namespace sotto
