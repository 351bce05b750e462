// Whether this machine's clock can be right. The protocol's messages carry no time, so the clock is held against the newest
// entry of the site's own log. A clock that runs behind is noticed at once; one that ran ahead, when it has been set right.
// Pure function.
#pragma once

#include <optional>
#include <string>

#include "audit/log/log_reader.h"

namespace sotto::client {

// A sentence for the site's operator when the clock is more than an hour behind; nullopt when nothing speaks against it.
std::optional<std::string> clock_doubt(const audit::LogImage& log, audit::Time now);

}  // namespace sotto::client
