#include "model/network/packing.h"

#include <algorithm>

#include "base/check.h"
#include "tests/support/catch.h"

namespace sotto::model {

TEST_CASE("every sequence gets its rows once, without overlap, in a pass whose height follows from its own length",
          "[model]") {
  std::vector<std::uint32_t> lengths;
  for (std::uint32_t i = 0; i < 200; ++i) lengths.push_back(1 + (i * 7919) % 700);
  std::vector<int> seen(lengths.size());
  for (const auto& pass : pack(lengths)) {
    std::vector<bool> taken(pass.rows);
    for (const auto& segment : pass.segments) {
      ++seen[segment.sequence];
      CHECK(segment.length == lengths[segment.sequence]);
      CHECK(pass.rows == (segment.length + kRowsPerPass - 1) / kRowsPerPass * kRowsPerPass);
      for (std::uint32_t r = segment.start; r < segment.start + segment.length; ++r) {
        REQUIRE_FALSE(taken.at(r));
        taken[r] = true;
      }
    }
  }
  CHECK(std::ranges::all_of(seen, [](int n) { return n == 1; }));
}

TEST_CASE("where any height will do, passes are hardly higher than what stands in them", "[model]") {
  const std::vector<std::uint32_t> lengths = {128, 300, 40, 90, 90};
  std::uint32_t rows = 0;
  for (const auto& pass : pack(lengths, Heights::kAny)) {
    std::uint32_t used = 0;
    for (const auto& segment : pass.segments) used = std::max(used, segment.start + segment.length);
    CHECK(pass.rows == (used + kLowestPass - 1) / kLowestPass * kLowestPass);
    rows += pass.rows;
  }
  CHECK(rows < 128 + 300 + 40 + 90 + 90 + 3 * kLowestPass);
}

TEST_CASE("short sequences share passes well", "[model]") {
  std::vector<std::uint32_t> lengths(24, 80);
  CHECK(pack(lengths).size() == 8);  // three of 80 in 256 rows
  CHECK(pack({}).empty());
  const std::vector<std::uint32_t> nothing = {0};
  CHECK_THROWS_AS(pack(nothing), Failure);
}

}  // namespace sotto::model
