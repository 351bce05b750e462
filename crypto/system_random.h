// The operating system's generator (getrandom). No state of its own, so it is safe across forks and threads.
// A call costs a system call: for millions of small draws key a StreamRandom with it.
#pragma once

#include "base/random.h"

namespace sotto::crypto {

class SystemRandom final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

}  // namespace sotto::crypto
