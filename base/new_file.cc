#include "base/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace sotto {
namespace {

Error system_error(const std::string& what, const std::string& path) {
  const int code = errno;
  return {code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable, what + " '" + path + "': " + std::strerror(code)};
}

// After a rename only the folder's own sync makes the new name last.
Result<void> sync_parent(const std::string& path) {
  std::string parent = std::filesystem::path(path).parent_path().string();
  if (parent.empty()) parent = ".";
  const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  Result<void> result = synced ? Result<void>() : Result<void>(system_error("cannot sync", parent));
  if (fd >= 0) ::close(fd);
  return result;
}

}  // namespace

Result<NewFile> NewFile::create(const std::string& path, FileMode mode) {
  const mode_t bits = mode == FileMode::kPrivate ? 0600 : 0644;
  const int fd = ::open((path + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, bits);
  if (fd < 0) return system_error("cannot write", path + ".new");
  return NewFile(path, fd);
}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

NewFile& NewFile::operator=(NewFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink((path_ + ".new").c_str());
}

Result<void> NewFile::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write", path_ + ".new");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    size_ += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> NewFile::commit() {
  if (::fsync(fd_) != 0) return system_error("cannot sync", path_ + ".new");
  if (::rename((path_ + ".new").c_str(), path_.c_str()) != 0) return system_error("cannot rename to", path_);
  ::close(std::exchange(fd_, -1));
  return sync_parent(path_);
}

Result<NewFolder> NewFolder::create(const std::string& path) {
  std::error_code error;
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  if (std::filesystem::exists(clean, error) && !std::filesystem::is_empty(clean, error))
    return refused("'" + path + "' is there already and not empty; name a new folder, or remove it first");
  NewFolder folder(clean);
  std::filesystem::remove_all(folder.beside_, error);  // of a run that was killed
  SOTTO_TRY_VOID(make_folder(folder.beside_));
  return folder;
}

NewFolder::NewFolder(NewFolder&& other) noexcept
    : path_(std::move(other.path_)), beside_(std::exchange(other.beside_, std::string())) {}

NewFolder& NewFolder::operator=(NewFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(beside_, other.beside_);
  return *this;
}

NewFolder::~NewFolder() {
  if (beside_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(beside_, error);
}

Result<void> NewFolder::commit() {
  SOTTO_TRY_VOID(sync_parent(beside_ + "/."));
  if (::rename(beside_.c_str(), path_.c_str()) != 0) return system_error("cannot rename to", path_);
  beside_.clear();
  return sync_parent(path_);
}

}  // namespace sotto
