#include "base/clock.h"

namespace sotto {

std::chrono::sys_seconds wall_clock() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

}  // namespace sotto
