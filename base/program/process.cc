#include "base/program/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace sotto {

// Neither call can fail for a process's own lower limits; a sandbox that forbids them leaves things as they were.
void keep_memory_private() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace sotto
