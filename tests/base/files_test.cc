#include "base/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

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
