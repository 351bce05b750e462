// `sotto-coordinator doctor`: whether this machine and folder are fit to carry out runs. Changes nothing.
#pragma once

#include <string>

#include "base/result.h"

namespace sotto::coordinator {

// One line a check: the folder and its keys, the log and what it says, records of finished runs, sites, the address, disk
// space. Refused when one of them failed; each says what to do.
Result<void> doctor(const std::string& folder, bool json);

}  // namespace sotto::coordinator
