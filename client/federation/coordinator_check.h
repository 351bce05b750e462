// What the coordinator says to a site now: asked by `sotto-client doctor`, which takes part in nothing. One thread.
#pragma once

#include <string>

#include "client/site/site_folder.h"

namespace sotto::client {

// A sentence when the coordinator lets this site in, or when a running `sotto-client run` of the same folder stands connected
// and is left alone. Fails (kRefused) when it does not let the site in: not yet approved, or revoked; and (kUnavailable) when
// nobody answers within ten seconds.
Result<std::string> ask_coordinator(const SiteFolder& folder);

}  // namespace sotto::client
