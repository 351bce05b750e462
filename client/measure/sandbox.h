// Runs Python that a model wrote, where it can do no harm: bubblewrap (bwrap) gives it namespaces of its own, without
// network, with the system's /usr to read, an empty /tmp of limited size, and no file of this machine's users; limits of
// time, memory and file size on top. Its output is discarded. Only for judging code: this does not defend against an escape
// from the kernel's namespaces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sotto::client {

struct SandboxLimits {
  int seconds = 10;                   // of wall-clock and of CPU time
  std::uint64_t memory = 1ULL << 30;  // bytes of address space, and of /tmp a quarter
};

// Whether this machine can make a sandbox; the Error names what is missing. Ask before the first run.
Result<void> check_sandbox();

// Whether the program ended by itself with exit code 0 within the limits. Fails when it could not be started.
Result<bool> runs_well(const std::string& python, const SandboxLimits& limits = {});

// The code in an answer: the first block between ``` lines, or all of it when there is none.
std::string code_in(std::string_view answer);

}  // namespace sotto::client
