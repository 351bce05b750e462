// `sotto-client attack RUN`: membership inference by loss on the site's own patients: it compares patients that trained with
// patients that were held out. The result is a function of private data, and no epsilon covers it. It is shown on the site's
// own terminal and, where the site has a log key, kept sealed in its log. It is never sent.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::client {

struct AttackCommand {
  std::string folder = "site";
  std::string run;
  std::int64_t limit = 200;  // patients of each kind
  bool json = false;
};

Result<void> attack(const AttackCommand& command);

}  // namespace sotto::client
