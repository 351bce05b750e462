#include "base/random.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace sotto {

std::uint64_t RandomSource::bits64() {
  std::array<std::uint8_t, 8> bytes{};
  fill(bytes);
  std::uint64_t v = 0;
  std::memcpy(&v, bytes.data(), sizeof v);
  return v;
}

std::uint64_t RandomSource::below(std::uint64_t bound) {
  SOTTO_CHECK(bound > 0);
  const std::uint64_t threshold = (0 - bound) % bound;  // 2^64 mod bound: values below it would be over-represented
  for (;;) {
    const std::uint64_t v = bits64();
    if (v >= threshold) return v % bound;
  }
}

}  // namespace sotto
