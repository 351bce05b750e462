// Fuzzing the reader of adapter_config.json: whatever the bytes are, reading and matching end, with an error that names the
// file or with ranks that a matrix can have.
#include "base/check.h"
#include "model/adapter/peft_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace sotto;
  auto json = Json::parse(std::string_view(reinterpret_cast<const char*>(bytes), size), "fuzz");
  if (!json.ok()) return 0;
  const auto config = model::parse_peft_config(std::move(json).value(), "fuzz");
  if (!config.ok()) {
    SOTTO_CHECK(config.error().message.starts_with("fuzz"));
    return 0;
  }
  const auto rules = model::PeftRules::make(*config, "fuzz");
  if (!rules.ok()) {
    SOTTO_CHECK(rules.error().message.starts_with("fuzz"));
    return 0;
  }
  for (const std::string path :
       {"model.layers.0.self_attn.q_proj", "model.layers.11.mlp.down_proj", "transformer.h.1.attn.c_attn"}) {
    const auto target = rules->is_target(path);
    SOTTO_CHECK(target.ok() || target.error().message.starts_with("fuzz"));
    const auto module = rules->ranked({path, 8, 8, 0, 1.0});
    SOTTO_CHECK(!module.ok() || (module->rank >= 1 && module->rank <= 65536));
    static_cast<void>(rules->is_saved(path));
  }
  return 0;
}
