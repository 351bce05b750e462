// `sotto-client benefit`: what this site gained. Its own held-out patients, who never trained anywhere, under the base
// model, under what the site trained alone, and under what the sites trained together; and the epsilon that each of the two
// cost. A function of the site's own patients: it stays here.
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
