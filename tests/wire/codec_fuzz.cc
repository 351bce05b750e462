// libFuzzer target: fuzz_codec tests/wire/corpus. What it finds goes into the corpus, which ctest replays.
#include "tests/wire/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sotto::wire::try_decoding({data, size});
  return 0;
}
