// Fuzzing the GGUF reader: whatever the bytes are, reading ends, with an error or with tensors whose bytes can all be read.
#include "base/check.h"
#include "data/files/gguf_file.h"
#include "data/tokenizer/tokenizer_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using sotto::data::FileBytes;
  const auto file = sotto::data::GgufFile::parse(FileBytes::hold(sotto::Bytes(bytes, bytes + size)), "fuzz");
  if (!file.ok()) {
    SOTTO_CHECK(file.error().message.starts_with("fuzz"));
    return 0;
  }
  std::size_t total = 0;
  for (const auto& tensor : file->tensors()) total += file->bytes(tensor).size();
  SOTTO_CHECK(total < size);
  if (const auto spec = sotto::data::tokenizer_spec(*file); !spec.ok()) SOTTO_CHECK(!spec.error().message.empty());
  return 0;
}
