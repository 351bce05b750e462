// Whether a uniform number U in [0, 1) lies below c * exp(-m^2 / (2 s^2)), exactly: U's binary digits are drawn, and the
// other side is computed, to as many as the answer takes. For the rare draws that floating point cannot decide. Pure integer
// arithmetic; not thread-safe (RandomSource is not).
#pragma once

#include <cstdint>

#include "base/random.h"

namespace sotto::privacy {

struct ExpBound {       // c = numerator * 2^shift / denominator
  std::uint64_t m = 0;  // below 2^63
  std::uint64_t s = 1;  // from 1 to 2^46
  std::uint64_t numerator = 1;
  std::uint64_t denominator = 1;
  unsigned shift = 0;
};

// `drawn` holds U's first `bits` (1 to 64) binary digits, the first one highest.
bool below_exp(std::uint64_t drawn, unsigned bits, const ExpBound& bound, RandomSource& random);

}  // namespace sotto::privacy
