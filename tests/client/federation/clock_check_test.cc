#include "client/federation/clock_check.h"

#include "audit/log/event_log.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {

TEST_CASE("a clock three days behind the site's own log is noticed, and one that is right is not", "[client]") {
  const TemporaryFolder folder;
  auto log = audit::EventLog::open(folder.path() + "/log").value();
  const audit::Time written{std::chrono::seconds(1796000000)};
  REQUIRE(log.append(audit::SiteCreated{"a", {}, {}}, written).ok());
  CHECK_FALSE(clock_doubt(log.image(), written + std::chrono::hours(5)));
  CHECK_FALSE(clock_doubt(log.image(), written - std::chrono::minutes(50)));
  const auto doubt = clock_doubt(log.image(), written - std::chrono::days(3));
  REQUIRE(doubt);
  CHECK(doubt->find(audit::iso_time(written)) != std::string::npos);
  CHECK(doubt->find(audit::iso_time(written - std::chrono::days(3))) != std::string::npos);
}

}  // namespace sotto::client
