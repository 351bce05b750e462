// `sotto-client join CODE`: makes a site's folder and keys, tells the coordinator, and pins its keys. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "client/site/site_folder.h"

namespace sotto::client {

struct JoinRequest {
  std::string code;
  std::string folder;
  std::string config;              // path of site.toml; must be readable now
  std::int64_t declared_size = 0;  // units, rounded by the operator to one or two digits
  bool json = false;
  bool yes = false;  // it is taken however far it is from the data
};

// Prints both fingerprints, for the operators to compare by another way. A refused or unanswered join leaves the folder, so
// that the same command can be given again.
Result<void> join(const JoinRequest& request);

}  // namespace sotto::client
