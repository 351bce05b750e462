#include "store/database.h"

#include "base/files.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::store {
namespace {

TEST_CASE("values come back as they were written", "[store]") {
  TemporaryFolder folder;
  auto db = Database::open(folder.file("a.sqlite"));
  REQUIRE(db.ok());
  REQUIRE(db->execute("CREATE TABLE t (a INTEGER, b REAL, c TEXT, d TEXT)").ok());
  const std::string odd("a'b\0c\xc3\xa9", 7);
  REQUIRE(db->execute("INSERT INTO t VALUES (?, ?, ?, ?)", {std::int64_t{-7}, 0.1, odd, nullptr}).ok());
  const auto rows = db->query("SELECT a, b, c, d FROM t WHERE c = ?", {odd});
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 1);
  CHECK(rows->at(0).integer(0) == -7);
  CHECK(rows->at(0).real(1) == 0.1);
  CHECK(rows->at(0).text(2) == odd);
  CHECK(rows->at(0).text(3).empty());
  CHECK_THROWS_AS(rows->at(0).text(0), Failure);
}

TEST_CASE("a transaction that is not committed leaves nothing", "[store]") {
  TemporaryFolder folder;
  auto db = Database::open(folder.file("a.sqlite"));
  REQUIRE(db->execute("CREATE TABLE t (a INTEGER)").ok());
  {
    auto transaction = db->begin();
    REQUIRE(transaction.ok());
    REQUIRE(db->execute("INSERT INTO t VALUES (1)").ok());
  }
  CHECK(db->query("SELECT a FROM t")->empty());
  auto transaction = db->begin();
  REQUIRE(db->execute("INSERT INTO t VALUES (2)").ok());
  REQUIRE(transaction->commit().ok());
  CHECK(db->query("SELECT a FROM t")->size() == 1);
}

TEST_CASE("a reader sees what is committed while the writer has the file open, and cannot write", "[store]") {
  TemporaryFolder folder;
  auto writer = Database::open(folder.file("a.sqlite"));
  REQUIRE(writer->execute("CREATE TABLE t (a INTEGER)").ok());
  auto reader = Database::open_read_only(folder.file("a.sqlite"));
  REQUIRE(reader.ok());
  auto transaction = writer->begin();
  REQUIRE(writer->execute("INSERT INTO t VALUES (1)").ok());
  CHECK(reader->query("SELECT a FROM t")->empty());
  REQUIRE(transaction->commit().ok());
  CHECK(reader->query("SELECT a FROM t")->size() == 1);
  CHECK_FALSE(reader->execute("INSERT INTO t VALUES (2)").ok());
}

TEST_CASE("a missing file, a file of another kind and a missing folder are errors", "[store]") {
  TemporaryFolder folder;
  CHECK_FALSE(Database::open_read_only(folder.file("none.sqlite")).ok());
  REQUIRE(write_file_atomically(folder.file("text"), std::string(5000, 'x')).ok());
  const auto text = Database::open(folder.file("text"));
  REQUIRE_FALSE(text.ok());
  CHECK(text.error().message.find("delete the file") != std::string::npos);
  CHECK_FALSE(Database::open(folder.file("no/such/folder.sqlite")).ok());
}

TEST_CASE("wrong SQL is our own fault", "[store]") {
  TemporaryFolder folder;
  auto db = Database::open(folder.file("a.sqlite"));
  CHECK_THROWS_AS(db->execute("SELEKT 1").ok(), Failure);
  CHECK_THROWS_AS(db->query("SELECT ?", {}).ok(), Failure);
}

}  // namespace
}  // namespace sotto::store
