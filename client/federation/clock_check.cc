#include "client/federation/clock_check.h"

#include <algorithm>
#include <chrono>

namespace sotto::client {

std::optional<std::string> clock_doubt(const audit::LogImage& log, audit::Time now) {
  constexpr auto kAllowed = std::chrono::hours(1);  // clocks that are set by hand, and by the daylight-saving hour
  audit::Time newest{};
  for (const auto& record : log.records) newest = std::max(newest, record.time);
  if (now + kAllowed >= newest) return std::nullopt;
  return "this machine's clock says " + audit::iso_time(now) +
         ", and the newest entry of this site's own log was written at " + audit::iso_time(newest) +
         ": one of the two is wrong; set the clock before entries with wrong times follow";
}

}  // namespace sotto::client
