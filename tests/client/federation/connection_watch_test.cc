#include "client/federation/connection_watch.h"

#include "tests/support/catch.h"

namespace sotto::client {

using namespace std::chrono_literals;

TEST_CASE("a site that reaches nobody says so after five seconds, and then every minute", "[client]") {
  const ConnectionWatch::Time start{};
  ConnectionWatch watch(start);
  CHECK_FALSE(watch.due(start + 4s));
  CHECK(watch.due(start + 5s) == Waiting::kForConnection);
  CHECK_FALSE(watch.due(start + 6s));
  watch.lost(start + 30s);  // tried again and failed: the same waiting
  CHECK_FALSE(watch.due(start + 64s));
  CHECK(watch.due(start + 65s) == Waiting::kForConnection);
}

TEST_CASE("a site that is connected and not welcomed waits for approval, and for nothing once it is welcomed", "[client]") {
  const ConnectionWatch::Time start{};
  ConnectionWatch watch(start);
  watch.connected(start + 1s);
  CHECK_FALSE(watch.due(start + 5s));
  CHECK(watch.due(start + 6s) == Waiting::kForWelcome);
  watch.welcomed();
  CHECK_FALSE(watch.due(start + 1h));
  watch.lost(start + 2h);
  CHECK_FALSE(watch.due(start + 2h + 4s));
  CHECK(watch.due(start + 2h + 5s) == Waiting::kForConnection);
}

}  // namespace sotto::client
