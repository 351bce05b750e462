// The clock on the wall, as logs, ledgers and passports note it: UTC in whole seconds. It may jump; nothing is measured by it
// (durations and deadlines take std::chrono::steady_clock), and state machines are handed a time and never read one.
#pragma once

#include <chrono>

namespace sotto {

std::chrono::sys_seconds wall_clock();

}  // namespace sotto
