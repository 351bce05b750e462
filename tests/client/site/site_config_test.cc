#include "client/site/site_config.h"

#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "client/site/site_folder.h"
#include "tests/support/catch.h"

using namespace sotto;
using namespace sotto::client;

namespace {

struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / ("sotto-client-" + std::to_string(::getpid()))).string();
  Folder() {
    std::filesystem::remove_all(path);
    REQUIRE(make_folder(path).ok());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& text) const {
    REQUIRE(write_file_atomically(path + "/site.toml", text).ok());
    return path + "/site.toml";
  }
};

std::string why(const std::string& text) {
  const Folder folder;
  const auto config = read_site_config(folder.write(text));
  return config.ok() ? "" : config.error().message;
}

const std::string kLeast = "model = \"m.gguf\"\ndata = [\"r.jsonl\"]\n[policy]\nepsilon_limit = 8\n";

}  // namespace

TEST_CASE("the commented example parses, and paths are relative to it", "[client]") {
  const auto config = read_site_config(std::string(SOTTO_SOURCE) + "/configs/site.toml");
  REQUIRE(config.ok());
  CHECK(config->model ==
        (std::filesystem::path(SOTTO_SOURCE) / ".deps/model/SmolLM2-135M-Instruct.Q4_1.gguf").lexically_normal().string());
  CHECK(config->policy.epsilon_limit == 8);
  CHECK(config->policy.units == std::vector{privacy::Unit::kPatient});
  CHECK_FALSE(config->policy.allow_without_privacy);
}

TEST_CASE("what is left out has the cautious default", "[client]") {
  const Folder folder;
  const auto config = read_site_config(folder.write(kLeast));
  REQUIRE(config.ok());
  CHECK(config->policy.units == std::vector{privacy::Unit::kPatient});
  CHECK(config->policy.min_sites == 3);
  CHECK(config->policy.models.empty());
}

TEST_CASE("every wrong value of a site's configuration is an error that names file, line and key", "[client]") {
  CHECK(why("data = [\"r\"]\n[policy]\nepsilon_limit = 8\n").find("'model' is missing") != std::string::npos);
  CHECK(why(kLeast + "epsilon_limt = 9\n")
            .find("site.toml:5: unknown key 'policy.epsilon_limt'; did you mean 'policy.epsilon_limit'?") !=
        std::string::npos);
  CHECK(why(kLeast + "units = [\"hospital\"]\n").find("site.toml:5") != std::string::npos);
  CHECK(why(kLeast + "models = [\"abc\"]\n").find("policy.models") != std::string::npos);
  CHECK(why(kLeast + "min_sites = 1\n").find("policy.min_sites") != std::string::npos);
  CHECK(why(kLeast + "own_share_limit = 7\n").find("is below policy.epsilon_limit") != std::string::npos);
  CHECK(why(kLeast + "own_share_limit = 20\n").empty());
  CHECK(why("model = \"m\"\ndata = [\"r\"]\n[policy]\nepsilon_limit = nan\n").find("policy.epsilon_limit") !=
        std::string::npos);
}

TEST_CASE("a declared size is taken only when it is rounded", "[client]") {
  for (const std::uint64_t good : {1u, 24u, 950u, 1400u, 12000u}) CHECK(is_rounded(good));
  for (const std::uint64_t bad : {0u, 1427u, 101u, 12345u}) CHECK_FALSE(is_rounded(bad));
}

TEST_CASE("a site's folder keeps keys, offers and decisions, closed to others", "[client]") {
  const Folder outside;
  const std::string path = outside.path + "/site";
  wire::Invite invite{SiteName("north"), "tcp://127.0.0.1:9", {}, {}, {}};
  const auto made = SiteFolder::create(path, {"north", 1400, "site.toml", invite});
  REQUIRE(made.ok());
  CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::mask) == std::filesystem::perms::owner_all);
  CHECK((std::filesystem::status(path + "/identity.key").permissions() & std::filesystem::perms::mask) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  const auto again = SiteFolder::open(path);
  REQUIRE(again.ok());
  CHECK(again->identity() == made->identity());
  CHECK(again->site().declared_size == 1400);
  CHECK_FALSE(SiteFolder::create(path, {"north", 1400, "site.toml", invite}).ok());

  const RunId run("demo");
  CHECK(again->offer(run).error().code == ErrorCode::kNotFound);
  CHECK_FALSE(again->decision(run).has_value());
  Decision decision{true, {}, {}, ""};
  decision.plan[3] = 7;
  REQUIRE(again->save_decision(run, decision).ok());
  CHECK(again->decision(run)->plan == decision.plan);
  REQUIRE(again->save_state(run, Bytes{1, 2, 3}).ok());
  CHECK(**again->state(run) == Bytes{1, 2, 3});
}

TEST_CASE("a folder that is no site's, and a key that was cut, are refused with the next step", "[client]") {
  const Folder folder;
  CHECK(SiteFolder::open(folder.path).error().message.find("sotto-client join CODE") != std::string::npos);
  const std::string path = folder.path + "/site";
  wire::Invite invite{SiteName("north"), "tcp://127.0.0.1:9", {}, {}, {}};
  REQUIRE(SiteFolder::create(path, {"north", 1400, "site.toml", invite}).ok());
  REQUIRE(write_file_atomically(path + "/identity.key", "short").ok());
  CHECK(SiteFolder::open(path).error().message.find("identity.key' has 5 bytes") != std::string::npos);
}
