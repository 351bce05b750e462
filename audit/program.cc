#include "audit/program.h"

#include "base/files.h"
#include "crypto/hash.h"

namespace sotto::audit {

Result<ProgramRan> this_program(const RunId& run) {
  SOTTO_TRY(const Bytes file, read_binary_file("/proc/self/exe"));
  return ProgramRan{run, SOTTO_VERSION, crypto::sha256(file)};
}

}  // namespace sotto::audit
