// The data check's report as one HTML page: no script, nothing loaded, readable on paper. Pure: the same report gives the
// same bytes.
#pragma once

#include <string>

#include "base/json.h"

namespace sotto::curation {

std::string check_page(const Json& report);

}  // namespace sotto::curation
