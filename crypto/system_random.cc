#include "crypto/system_random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"

namespace sotto::crypto {

void SystemRandom::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw Failure(std::string("getrandom failed: ") + std::strerror(errno));
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace sotto::crypto
