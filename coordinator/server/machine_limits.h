// What the machine grants this process, and what `serve` makes of it: the soft limit of open files is raised to the hard one,
// and the number of connections follows from it.
#pragma once

#include "base/result.h"
#include "wire/acceptor.h"

namespace sotto::coordinator {

// Descriptors that the coordinator needs besides connections: logs, locks, the index, files in hand, libzmq's own.
constexpr std::size_t kOwnDescriptors = 128;
// Of one connection: the caller's socket, and both ends inside the process.
constexpr std::size_t kDescriptorsPerConnection = 3;

// Raises the soft limit of open files as far as the hard one allows, at most to `wanted`; returns what holds then.
std::size_t raise_open_files(std::size_t wanted);
std::size_t open_files_limit();

// `asked`, as far as `open_files` has room for it.
wire::ConnectionLimits fitting(wire::ConnectionLimits asked, std::size_t open_files);

}  // namespace sotto::coordinator
