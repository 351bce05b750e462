// libFuzzer target for everything that reads a log's bytes. Start it with tests/audit/corpus.
#include "tests/audit/log/read_anything.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sotto::audit::read_anything({data, size});
  return 0;
}
