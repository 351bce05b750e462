// Fuzzing the reader of adapter folders: adapter_config.json, a zero byte, adapter_model.safetensors. Whatever they are,
// reading ends, with an error or with an adapter that fits the model.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "model/adapter/peft_folder.h"
#include "tests/support/temporary_folder.h"

namespace {

void put(const std::string& path, sotto::ByteSpan bytes) {
  std::filesystem::remove(path);  // a file that is cut and written anew would be flushed to the disk each time
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace sotto;
  static const TemporaryFolder folder;
  static const model::ModelConfig config = [] {
    auto c = model::with_architecture(model::Architecture::kQwen2);
    c.layers = 2;
    c.hidden_size = c.intermediate_size = 8;
    c.heads = 2;
    c.kv_heads = 1;
    c.head_dim = 4;
    c.vocab_size = 16;
    c.max_positions = 16;
    return c;
  }();
  const ByteSpan all(bytes, size);
  const auto cut = static_cast<std::size_t>(std::ranges::find(all, 0) - all.begin());
  put(folder.file("adapter_config.json"), all.first(cut));
  put(folder.file("adapter_model.safetensors"), all.subspan(std::min(cut + 1, size)));
  const auto adapter = model::load_peft_folder(folder.path(), config);
  if (!adapter.ok()) {
    SOTTO_CHECK(!adapter.error().message.empty());
    return 0;
  }
  SOTTO_CHECK(model::check_adapter(*adapter, config).ok());
  return 0;
}
