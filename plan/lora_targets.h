// The modules that a plan may name for LoRA: last components of their paths. Pure functions.
#pragma once

#include <string>

namespace sotto::plan {

bool is_known_target(const std::string& target);
bool is_gpt2_target(const std::string& target);  // of GPT-2's layers, which have other modules than all others
std::string known_targets();                     // "q_proj, k_proj, .., nor of GPT-2's c_attn, .." for messages

}  // namespace sotto::plan
