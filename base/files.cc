#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/new_file.h"

namespace sotto {
namespace {

Error system_error(const std::string& what, const std::string& path) {
  const int code = errno;
  const auto kind = code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return {kind, what + " '" + path + "': " + std::strerror(code)};
}

template <class Container>
Result<Container> read_open(const Descriptor& file, const std::string& path) {
  Container out;
  constexpr std::size_t kChunk = 1 << 20;
  for (;;) {
    const std::size_t old = out.size();
    out.resize(old + kChunk);
    const ssize_t n = ::read(file.get(), out.data() + old, kChunk);
    if (n < 0 && errno == EINTR) {
      out.resize(old);
      continue;
    }
    if (n < 0) return system_error("cannot read", path);
    out.resize(old + static_cast<std::size_t>(n));
    if (n == 0) return out;
  }
}

template <class Container>
Result<Container> read_whole(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("cannot open", path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot read", path);
  if (S_ISDIR(info.st_mode)) return invalid("'" + path + "' is a folder, not a file");
  return read_open<Container>(file, path);
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) { return read_whole<std::string>(path); }
Result<Bytes> read_binary_file(const std::string& path) { return read_whole<Bytes>(path); }

Result<Bytes> read_private_file(const std::string& path, std::size_t most) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));  // a pipe in its place does not hold us up
  if (file.get() < 0) return system_error("cannot open", path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot read", path);
  if (!S_ISREG(info.st_mode)) return invalid("'" + path + "' is not a plain file");
  if ((info.st_mode & 077) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return refused("'" + path + "' has mode " + mode +
                   ": others on this machine may read or change it. If nobody else had access to it, "
                   "run 'chmod 600 " +
                   path + "'; if somebody may have read it, replace it");
  }
  if (static_cast<std::size_t>(info.st_size) > most)
    return invalid("'" + path + "' has " + std::to_string(info.st_size) + " bytes, at most " + std::to_string(most) +
                   " are expected");
  return read_open<Bytes>(file, path);
}

Result<void> make_folder(const std::string& path, FileMode mode) {
  struct stat info{};
  const bool existed = ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  std::error_code error;
  if (!existed) std::filesystem::create_directories(path, error);
  if (error) return unavailable("cannot make folder '" + path + "': " + error.message());
  if (!existed && mode == FileMode::kPrivate && ::chmod(path.c_str(), 0700) != 0)
    return system_error("cannot protect", path);
  return {};
}

Result<void> make_own_folder(const std::string& path) {
  SOTTO_TRY_VOID(make_folder(path));
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return system_error("cannot read", path);
  if ((info.st_mode & 077) == 0 || ::chmod(path.c_str(), 0700) == 0) return {};
  // A folder that was mounted for us may belong to root: its group is then ours by the operator's will, everybody is not.
  if (errno == EPERM && (info.st_mode & 007) == 0) return {};
  return system_error("cannot take away the rights that others have to the folder", path);
}

bool file_exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("cannot open lock", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return refused("'" + path + "' is locked: another process works in this folder; stop it first");
  }
  return FileLock(fd);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sotto
