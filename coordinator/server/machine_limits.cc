#include "coordinator/server/machine_limits.h"

#include <sys/resource.h>

#include <algorithm>

namespace sotto::coordinator {

std::size_t open_files_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) : 0;
}

std::size_t raise_open_files(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t most = std::min<rlim_t>(limit.rlim_max, wanted);
  if (limit.rlim_cur < most) {
    limit.rlim_cur = most;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  return open_files_limit();
}

wire::ConnectionLimits fitting(wire::ConnectionLimits asked, std::size_t open_files) {
  const std::size_t room = open_files > kOwnDescriptors ? (open_files - kOwnDescriptors) / kDescriptorsPerConnection : 0;
  asked.connections = std::clamp<std::size_t>(asked.connections, 1, std::max<std::size_t>(room, 1));
  // Strangers never take more than half of the room.
  asked.unproven = std::clamp<std::size_t>(asked.unproven, 1, std::max<std::size_t>(asked.connections / 2, 1));
  asked.unproven_per_source = std::clamp<std::size_t>(asked.unproven_per_source, 1, asked.unproven);
  return asked;
}

}  // namespace sotto::coordinator
