// `sotto-client attack RUN`: membership inference by loss on the site's own patients, those that trained against those that
// the hold-out kept away. What comes out is a function of private data and covered by no epsilon: it is shown on the site's
// own terminal and, where the site has a log key, kept in its log sealed. Nothing of it is ever sent.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::client {

struct AttackCommand {
  std::string folder;
  std::string run;
  std::int64_t limit = 200;  // patients of each kind
  bool json = false;
};

Result<void> attack(const AttackCommand& command);

}  // namespace sotto::client
