#include "wire/invite.h"

#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::wire {
namespace {

Invite sample() {
  FixedRandom source(1);
  Invite invite;
  invite.site = SiteName("north-clinic");
  invite.endpoint = "tcp://coordinator.example:7300";
  source.fill(invite.transport);
  source.fill(invite.identity);
  source.fill(invite.token);
  return invite;
}

TEST_CASE("an invite code is one line of plain characters and reads back", "[wire]") {
  const auto code = to_code(sample());
  CHECK(code.starts_with("sotto1-"));
  CHECK(code.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos);
  CHECK(code.size() < 250);
  const auto invite = parse_code(code);
  REQUIRE(invite.ok());
  CHECK(*invite == sample());
  CHECK(parse_code("  " + code + "\r\n").ok());
}

TEST_CASE("an invite code that was cut, extended or mistyped anywhere is refused", "[wire]") {
  const auto code = to_code(sample());
  for (std::size_t n = 0; n < code.size(); ++n) CHECK_FALSE(parse_code(code.substr(0, n)).ok());
  CHECK_FALSE(parse_code(code + "A").ok());
  for (std::size_t i = 0; i < code.size(); ++i) {
    auto typo = code;
    typo[i] = typo[i] == 'x' ? 'y' : 'x';
    CHECK_FALSE(parse_code(typo).ok());
  }
  const auto other = parse_code("http://coordinator.example");
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().message.find("must start with 'sotto1-'") != std::string::npos);
}

TEST_CASE("an invite code for a name that is no site name is refused", "[wire]") {
  auto invite = sample();
  invite.site = SiteName("../etc");
  CHECK_FALSE(parse_code(to_code(invite)).ok());
}

}  // namespace
}  // namespace sotto::wire
