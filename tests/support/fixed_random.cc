#include "tests/support/fixed_random.h"

#include <algorithm>

namespace sotto {

void FixedRandom::fill(std::span<std::uint8_t> out) {
  for (std::size_t i = 0; i < out.size(); i += 8) {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    for (std::size_t j = i; j < std::min(out.size(), i + 8); ++j, z >>= 8) out[j] = static_cast<std::uint8_t>(z);
  }
}

}  // namespace sotto
