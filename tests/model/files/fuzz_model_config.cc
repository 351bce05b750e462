// Fuzzing the reader of config.json: whatever the bytes are, reading ends, with an error that names the file or with a shape
// that its own list of weights bears out.
#include "base/check.h"
#include "model/files/architecture.h"
#include "model/files/hugging_face_export.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace sotto;
  const auto json = Json::parse(std::string_view(reinterpret_cast<const char*>(bytes), size), "fuzz");
  if (!json.ok()) return 0;
  const auto config = model::model_config(*json, "fuzz");
  if (!config.ok()) {
    SOTTO_CHECK(config.error().message.starts_with("fuzz"));
    return 0;
  }
  SOTTO_CHECK(config->layers > 0 && config->heads % config->kv_heads == 0 && config->parameters() > 0);
  if (config->layers > 64) return 0;
  std::uint64_t sum = 0;
  for (const auto& info : model::weight_infos(*config)) {
    std::uint64_t elements = 1;
    for (const auto n : info.shape) elements *= n;
    sum += elements;
  }
  SOTTO_CHECK(sum == config->parameters());
  if (const auto back = model::hugging_face_config(*config); !back.ok()) SOTTO_CHECK(!back.error().message.empty());
  return 0;
}
