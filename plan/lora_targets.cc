#include "plan/lora_targets.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace sotto::plan {
namespace {

constexpr std::array<std::string_view, 7> kModules{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                   "gate_proj", "up_proj", "down_proj"};
// Its c_proj stands twice in a layer: alone it means both.
constexpr std::array<std::string_view, 5> kGpt2Modules{"c_attn", "c_proj", "attn.c_proj", "c_fc", "mlp.c_proj"};

template <class Names>
std::string listed(const Names& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

}  // namespace

bool is_gpt2_target(const std::string& target) { return std::ranges::find(kGpt2Modules, target) != kGpt2Modules.end(); }
bool is_known_target(const std::string& target) {
  return is_gpt2_target(target) || std::ranges::find(kModules, target) != kModules.end();
}
std::string known_targets() { return listed(kModules) + ", or of GPT-2's " + listed(kGpt2Modules); }

}  // namespace sotto::plan
