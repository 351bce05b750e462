// Which program is running, for a party's log.
#pragma once

#include "audit/log/site_events.h"
#include "base/result.h"

namespace sotto::audit {

// SHA-256 of the running program's own file. Fails where the system does not show it.
Result<ProgramRan> this_program(const RunId& run);

}  // namespace sotto::audit
