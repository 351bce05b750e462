#include "store/run_index.h"

#include <filesystem>

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::store {
namespace {

RunRow a_run(const std::string& name) {
  return {name, "running", "two sites to go", 4, 1, 0, "report", 1, "abcd", 100, 110, 0, 5'000'000'000, 7};
}

TEST_CASE("rows come back, replaced by key and in order", "[store]") {
  TemporaryFolder folder;
  auto index = RunIndex::open(folder.file("index.sqlite"));
  REQUIRE(index.ok());
  REQUIRE(index->put(a_run("b")).ok());
  REQUIRE(index->put(a_run("a")).ok());
  auto again = a_run("b");
  again.state = "finished";
  again.finished = 200;
  REQUIRE(index->put(again).ok());
  const auto runs = index->runs();
  REQUIRE(runs.ok());
  REQUIRE(runs->size() == 2);
  CHECK(runs->at(0) == again);  // order of submission, not of names or updates
  CHECK(runs->at(1) == a_run("a"));
  CHECK(*index->run("a") == a_run("a"));

  const RoundRow round{"a", 1, 2, "void", "", "too few sites", "", 10, 20};
  const RoundRow first{"a", 0, 1, "done", "north south", "", "ff", 1, 9};
  REQUIRE(index->put(round).ok());
  REQUIRE(index->put(first).ok());
  CHECK(*index->rounds("a") == std::vector<RoundRow>{first, round});
  CHECK(index->rounds("b")->empty());

  const SiteRow site{"north", "0000-1111", 1400};
  REQUIRE(index->put(site).ok());
  CHECK(*index->sites() == std::vector<SiteRow>{site});
}

TEST_CASE("a run that is not there is named", "[store]") {
  TemporaryFolder folder;
  auto index = RunIndex::open(folder.file("index.sqlite"));
  const auto run = index->run("nope");
  REQUIRE_FALSE(run.ok());
  CHECK(run.error().code == ErrorCode::kNotFound);
  CHECK(run.error().message.find("'nope'") != std::string::npos);
}

TEST_CASE("the index keeps its rows and place when opened again, and forgets them when cleared", "[store]") {
  TemporaryFolder folder;
  const auto path = folder.file("index.sqlite");
  {
    auto index = RunIndex::open(path);
    CHECK(*index->position() == RunIndex::Position{});
    REQUIRE(index->put(a_run("a")).ok());
    REQUIRE(index->set_position({"log-1", 17}).ok());
  }
  auto index = RunIndex::open(path);
  CHECK(*index->position() == RunIndex::Position{"log-1", 17});
  auto reader = RunIndex::open_read_only(path);
  REQUIRE(reader.ok());
  CHECK(reader->runs()->size() == 1);
  REQUIRE(index->clear().ok());
  CHECK(reader->runs()->empty());
  CHECK(*index->position() == RunIndex::Position{});
}

TEST_CASE("an index of another version is dropped by the writer and refused by a reader", "[store]") {
  TemporaryFolder folder;
  const auto path = folder.file("index.sqlite");
  {
    auto db = Database::open(path);
    REQUIRE(db->execute("CREATE TABLE run (something TEXT)").ok());
    REQUIRE(db->execute("PRAGMA user_version = 99").ok());
  }
  CHECK_FALSE(RunIndex::open_read_only(path).ok());
  auto index = RunIndex::open(path);
  REQUIRE(index.ok());
  CHECK(index->runs()->empty());
}

TEST_CASE("an index that is damaged begins anew, and nobody else may read it", "[store]") {
  TemporaryFolder folder;
  const std::string path = folder.file("index.sqlite");
  {
    auto index = RunIndex::open(path);
    REQUIRE(index.ok());
    for (int i = 0; i < 200; ++i) REQUIRE(index->put(a_run("run-" + std::to_string(i))).ok());
    REQUIRE(index->set_position({"ab", 7}).ok());
  }
  CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms(077)) == std::filesystem::perms::none);
  auto bytes = *read_text_file(path);
  for (std::size_t i = 2000; i < bytes.size(); i += 7) bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
  for (const std::string& damaged : {bytes, std::string("this is no database"), bytes.substr(0, bytes.size() / 2)}) {
    REQUIRE(write_file_atomically(path, damaged).ok());
    auto index = RunIndex::open(path);
    REQUIRE(index.ok());
    CHECK(*index->position() == RunIndex::Position{});
    CHECK(index->runs()->empty());
    CHECK(index->put(a_run("again")).ok());
  }
}

}  // namespace
}  // namespace sotto::store
