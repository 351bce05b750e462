// `sotto-client migrate FOLDER`: takes what version 1 wrote over into this version, or says what it would do. FOLDER is a book
// of patients, a site's folder, or a folder of `train`; of the latter two the book that they spend from comes with them. What
// was spent before is carried over whole. A kill at any point leaves version 1 as it was, or a book that opens.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::client {

struct MigrateRequest {
  std::string folder;
  std::string config;  // site.toml: where a folder of `train` has its book; a site's folder knows
  bool dry_run = false;
};

Result<void> migrate(const MigrateRequest& request);

}  // namespace sotto::client
