#include "audit/log/running_program.h"

#include "base/files.h"
#include "base/version.h"
#include "crypto/hash.h"

namespace sotto::audit {

Result<ProgramRan> this_program(const RunId& run) {
  SOTTO_TRY(const Bytes file, read_binary_file("/proc/self/exe"));
  return ProgramRan{run, std::string(version()), crypto::sha256(file)};
}

}  // namespace sotto::audit
