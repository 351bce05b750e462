// Whole rounds: n sites, drop-outs at every barrier, restarts from snapshots, retries and voids.
#include <algorithm>

#include "aggregation/ring.h"
#include "tests/coordinator/simulator.h"
#include "tests/support/catch.h"

namespace sotto {
namespace {

std::vector<SiteIndex> all_but(std::uint32_t n, std::optional<std::uint32_t> gone = {}) {
  std::vector<SiteIndex> out;
  for (std::uint32_t i = 0; i < n; ++i)
    if (i != gone) out.push_back(SiteIndex(i));
  return out;
}

}  // namespace

TEST_CASE("a round ends with the exact sum of every site's update, and every site takes the result", "[round]") {
  const std::uint32_t n = GENERATE(2u, 3u, 4u, 8u, 16u);
  Simulator world({.sites = n});
  for (std::uint32_t r = 0; r < 3; ++r) {
    world.run_round();
    const auto& o = world.outcomes.at(r);
    REQUIRE(!o.is_void);
    CHECK(o.attempt == AttemptId(1));
    CHECK(o.survivors == all_but(n));
    CHECK(o.sum == world.expected_sum(o.survivors, RoundId(r)));
    CHECK(o.accepted == all_but(n));
  }
}

TEST_CASE("the sum is exact at every width of the ring", "[round]") {
  const std::uint32_t bits = GENERATE(13u, 16u, 19u, 24u, 31u, 32u);
  Simulator world({.sites = 3, .bits = bits});
  world.run_round();
  CHECK(world.outcomes.at(0).sum == world.expected_sum(all_but(3), RoundId(0)));
}

}  // namespace sotto
