#include "base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sotto {
namespace {

Error system_error(const std::string& what, const std::string& path) {
  const int code = errno;
  const auto kind = code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return {kind, what + " '" + path + "': " + std::strerror(code)};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

template <class Container>
Result<Container> read_whole(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error("cannot open", path);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot read", path);
  if (S_ISDIR(info.st_mode)) return invalid("'" + path + "' is a folder, not a file");
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

Result<void> write_all(int fd, ByteSpan bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  auto folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  const Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() < 0 || ::fsync(dir.get()) != 0) return system_error("cannot sync", folder);
  return {};
}

}  // namespace

Result<std::string> read_text_file(const std::string& path) { return read_whole<std::string>(path); }
Result<Bytes> read_binary_file(const std::string& path) { return read_whole<Bytes>(path); }

Result<void> write_file_atomically(const std::string& path, ByteSpan bytes, FileMode mode) {
  const std::string beside = path + ".new";
  const mode_t bits = mode == FileMode::kPrivate ? 0600 : 0644;
  {
    const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, bits));
    if (file.get() < 0) return system_error("cannot write", beside);
    SOTTO_TRY_VOID(write_all(file.get(), bytes, beside));
    if (::fsync(file.get()) != 0) return system_error("cannot sync", beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return system_error("cannot rename to", path);
  return sync_folder_of(path);
}

Result<void> write_file_atomically(const std::string& path, std::string_view text, FileMode mode) {
  return write_file_atomically(path, as_bytes(text), mode);
}

Result<void> make_folder(const std::string& path, FileMode mode) {
  const bool existed = std::filesystem::is_directory(path);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return unavailable("cannot make folder '" + path + "': " + error.message());
  if (!existed && mode == FileMode::kPrivate && ::chmod(path.c_str(), 0700) != 0)
    return system_error("cannot protect", path);
  return {};
}

bool file_exists(const std::string& path) { return std::filesystem::exists(path); }

Result<FileLock> FileLock::acquire(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
