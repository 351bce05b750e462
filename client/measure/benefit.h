// `sotto-client benefit`: what this site gained by training together. It measures the site's held-out patients under the
// base model, under the adapter that the site trained alone and under the one that the sites trained together, and says what
// epsilon each adapter cost. The result is a function of the site's patients and stays at the site.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::client {

struct BenefitCommand {
  std::string config;     // site.toml, with holdout_fraction above 0
  std::string local;      // PEFT folder of 'train'
  std::string federated;  // PEFT folder of a run
  std::int64_t max_tokens = 128;
  std::string system_prompt;
  std::string chat_template;
  bool json = false;
};

Result<void> benefit(const BenefitCommand& command);

}  // namespace sotto::client
