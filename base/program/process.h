// What a program that holds keys does to itself at its start.
#pragma once

namespace sotto {

// No core dumps (RLIMIT_CORE 0), and nobody but root reads this process's memory (PR_SET_DUMPABLE 0): both would hold keys.
void keep_memory_private();

}  // namespace sotto
