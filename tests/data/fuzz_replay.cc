// Runs a fuzz target over a folder of inputs: each as it is, cut in half, and with each of its first 512 bytes changed once.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  std::size_t inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    auto bytes = sotto::read_binary_file(entry.path().string()).value();
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size() / 2);
    for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 512); ++at) {
      const std::uint8_t old = bytes[at];
      for (const unsigned change : {0x01U, 0x80U, 0xffU}) {
        bytes[at] = static_cast<std::uint8_t>(old ^ change);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      }
      bytes[at] = old;
    }
    ++inputs;
  }
  std::printf("%zu inputs\n", inputs);
  return inputs > 0 ? 0 : 1;
}
