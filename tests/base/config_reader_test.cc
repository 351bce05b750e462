#include "base/config_reader.h"

#include "tests/support/catch.h"

using namespace sotto;

namespace {
ConfigReader reader(const std::string& text) { return ConfigReader::parse(text, "site.toml").value(); }
std::string failure(ConfigReader& config) {
  const auto done = config.finish();
  REQUIRE_FALSE(done.ok());
  return done.error().message;
}
}  // namespace

TEST_CASE("values of every kind are read, and defaults stand in for what is absent", "[base]") {
  auto config = reader("name = \"north\"\n[policy]\nlimit = 8\nrate = 0.5\nopen = true\nmodes = [\"local\"]\n");
  CHECK(config.text("name") == "north");
  CHECK(config.number("policy.limit") == 8);
  CHECK(config.number("policy.rate") == 0.5);
  CHECK(config.integer("policy.limit") == 8);
  CHECK(config.boolean("policy.open"));
  CHECK(config.texts("policy.modes") == std::vector<std::string>{"local"});
  CHECK(config.integer("policy.absent", 3) == 3);
  CHECK(config.finish().ok());
}

TEST_CASE("an unknown key is an error with file, line and the nearest known key", "[base]") {
  auto config = reader("[policy]\nepsilon_limt = 8\n");
  config.number("policy.epsilon_limit");
  CHECK(failure(config) == "site.toml:2: unknown key 'policy.epsilon_limt'; did you mean 'policy.epsilon_limit'?");
}

TEST_CASE("a missing key and a wrong type are errors", "[base]") {
  auto missing = reader("a = 1\n");
  missing.integer("a");
  missing.text("b");
  CHECK(failure(missing).find("key 'b' is missing") != std::string::npos);
  auto wrong = reader("a = \"x\"\n");
  wrong.number("a");
  CHECK(failure(wrong) == "site.toml:1: 'a' must be a number, not a string");
}

TEST_CASE("arrays of tables share their errors with the file's reader", "[base]") {
  auto config = reader("[[site]]\nname = \"a\"\n[[site]]\nname = \"b\"\nsize = \"big\"\n");
  auto sites = config.tables("site");
  REQUIRE(sites.size() == 2);
  CHECK(sites[0].text("name") == "a");
  CHECK(sites[1].text("name") == "b");
  sites[1].integer("size");
  CHECK(failure(config) == "site.toml:5: 'site[1].size' must be an integer, not a string");
}

TEST_CASE("text that is not TOML is refused with its line", "[base]") {
  const auto broken = ConfigReader::parse("a = 1\nb = = 2\n", "run.toml");
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().message.starts_with("run.toml:2: not valid TOML"));
  CHECK(ConfigReader::read_file("no/such/file.toml").error().code == ErrorCode::kNotFound);
}

TEST_CASE("a value that the caller rejects is reported with its line", "[base]") {
  auto config = reader("\nrounds = 0\n");
  config.integer("rounds");
  config.reject("rounds", "must be at least 1");
  CHECK(failure(config) == "site.toml:2: 'rounds' must be at least 1");
}
