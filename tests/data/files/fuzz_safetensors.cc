// Fuzzing the safetensors reader: whatever the bytes are, reading ends, with an error or with tensors that fill the file.
#include "base/check.h"
#include "data/files/safetensors_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using sotto::data::FileBytes;
  const auto file = sotto::data::SafetensorsFile::parse(FileBytes::hold(sotto::Bytes(bytes, bytes + size)), "fuzz");
  if (!file.ok()) {
    SOTTO_CHECK(file.error().message.starts_with("fuzz"));
    return 0;
  }
  std::size_t total = 0;
  for (const auto& tensor : file->tensors()) total += file->bytes(tensor).size();
  SOTTO_CHECK(total < size);
  return 0;
}
