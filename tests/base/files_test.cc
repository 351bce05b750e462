#include "base/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/new_file.h"
#include "tests/support/catch.h"

using namespace sotto;

namespace {
struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / ("sotto-files-" + std::to_string(::getpid()))).string();
  Folder() { REQUIRE(make_folder(path, FileMode::kPrivate).ok()); }
  ~Folder() { std::filesystem::remove_all(path); }
};
unsigned mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}
}  // namespace

TEST_CASE("a file is written whole, with the mode asked for, and replaced in one step", "[base]") {
  const Folder folder;
  const std::string path = folder.path + "/key";
  REQUIRE(write_file_atomically(path, "one", FileMode::kPrivate).ok());
  REQUIRE(write_file_atomically(path, "two", FileMode::kPrivate).ok());
  CHECK(*read_text_file(path) == "two");
  CHECK(mode_of(path) == 0600);
  CHECK(mode_of(folder.path) == 0700);
  CHECK_FALSE(file_exists(path + ".new"));
}

TEST_CASE("a missing file and a folder in a file's place are errors that name the path", "[base]") {
  const Folder folder;
  CHECK(read_text_file(folder.path + "/none").error().code == ErrorCode::kNotFound);
  CHECK(read_binary_file(folder.path).error().message.find(folder.path) != std::string::npos);
  CHECK_FALSE(write_file_atomically(folder.path + "/no/such/folder/file", "x").ok());
}

TEST_CASE("a second lock on the same file is refused while the first lives", "[base]") {
  const Folder folder;
  {
    const auto first = FileLock::acquire(folder.path + "/lock");
    REQUIRE(first.ok());
    CHECK(FileLock::acquire(folder.path + "/lock").error().code == ErrorCode::kRefused);
  }
  CHECK(FileLock::acquire(folder.path + "/lock").ok());
}

TEST_CASE("a link that somebody laid beside a file is not followed, and what a killed process left is taken away",
          "[base]") {
  const Folder folder;
  const std::string victim = folder.path + "/victim", path = folder.path + "/report.json";
  REQUIRE(write_file_atomically(victim, "mine").ok());
  std::filesystem::create_symlink(victim, path + ".new");
  REQUIRE(write_file_atomically(path, "report").ok());
  CHECK(*read_text_file(victim) == "mine");
  CHECK(*read_text_file(path) == "report");
  const std::string left = path + ".0123456789abcdef.new";
  REQUIRE(write_file_atomically(left, "half").ok());
  REQUIRE(write_file_atomically(path, "again").ok());
  CHECK_FALSE(file_exists(left));
  CHECK(file_exists(path + ".new"));  // not ours: it stays
}

TEST_CASE("two writers of one file do not take each other's half for a left-over", "[base]") {
  const Folder folder;
  const std::string path = folder.path + "/big";
  auto first = NewFile::create(path);
  REQUIRE(first.ok());
  REQUIRE(first->append(as_bytes("first")).ok());
  REQUIRE(write_file_atomically(path, "second").ok());
  REQUIRE(first->commit().ok());
  CHECK(*read_text_file(path) == "first");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("what is written inside of a folder that somebody else filled stays inside of it", "[base]") {
  const Folder folder;
  const std::string given = folder.path + "/run", outside = folder.path + "/home";
  REQUIRE(make_folder(given).ok());
  REQUIRE(make_folder(outside).ok());
  REQUIRE(write_file_inside(given, "report/report.json", "{}", FileMode::kPublic).ok());
  CHECK(*read_text_file(given + "/report/report.json") == "{}");
  std::filesystem::remove_all(given + "/report");
  std::filesystem::create_directory_symlink(outside, given + "/report");
  const auto refused = write_file_inside(given, "report/report.json", "{}", FileMode::kPublic);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("report' is a link") != std::string::npos);
  CHECK(std::filesystem::is_empty(outside));
  CHECK_FALSE(write_file_inside(given, "../home/x", "{}", FileMode::kPublic).ok());
}

TEST_CASE("a folder that is a program's own is closed to others, also one that was there", "[base]") {
  const Folder folder;
  const std::string own = folder.path + "/own";
  REQUIRE(make_folder(own, FileMode::kPublic).ok());
  ::chmod(own.c_str(), 0755);
  REQUIRE(make_folder(own).ok());
  CHECK(mode_of(own) == 0755);  // a folder of the user's
  REQUIRE(make_own_folder(own).ok());
  CHECK(mode_of(own) == 0700);
}

TEST_CASE("a key file that others may read, a pipe in its place and one too large are refused by name", "[base]") {
  const Folder folder;
  const std::string path = folder.path + "/identity.key";
  REQUIRE(write_file_atomically(path, "secret").ok());
  CHECK(read_private_file(path, 32).ok());
  CHECK(read_private_file(path, 3).error().message.find("6 bytes") != std::string::npos);
  ::chmod(path.c_str(), 0640);
  CHECK(read_private_file(path, 32).error().message.find("mode 0640") != std::string::npos);
  REQUIRE(::mkfifo((path + ".pipe").c_str(), 0600) == 0);
  CHECK(read_private_file(path + ".pipe", 32).error().message.find("not a plain file") != std::string::npos);
}
