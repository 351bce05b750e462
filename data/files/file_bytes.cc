#include "data/files/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sotto::data {
namespace {

Error system_error(const std::string& what, const std::string& path) {
  const int code = errno;
  const auto kind = code == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return {kind, what + " '" + path + "': " + std::strerror(code)};
}

}  // namespace

Result<FileBytes> FileBytes::map(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", path);
  struct stat info{};
  if (::fstat(fd, &info) != 0) {
    const Error error = system_error("cannot read", path);
    ::close(fd);
    return error;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return invalid("'" + path + "' is not a regular file");
  }
  FileBytes out;
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > 0) {
    void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (start == MAP_FAILED) {
      const Error error = system_error("cannot map", path);
      ::close(fd);
      return error;
    }
    out.view_ = {static_cast<const std::uint8_t*>(start), size};
    out.mapped_ = true;
  }
  ::close(fd);  // the mapping stays
  return out;
}

FileBytes FileBytes::hold(Bytes bytes) {
  FileBytes out;
  out.held_ = std::move(bytes);
  out.view_ = out.held_;
  return out;
}

void FileBytes::drop_pages(ByteSpan part) const {
  if (!mapped_ || part.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<std::uintptr_t>(part.data()), to = from + part.size();
  const auto first = (from + page - 1) / page * page, end = to / page * page;
  // Advice only: a kernel that does not take it changes nothing.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address inside of the mapping
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : held_(std::move(other.held_)), view_(std::exchange(other.view_, {})), mapped_(std::exchange(other.mapped_, false)) {}

FileBytes& FileBytes::operator=(FileBytes&& other) noexcept {
  std::swap(held_, other.held_);
  std::swap(view_, other.view_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

FileBytes::~FileBytes() {
  if (mapped_) ::munmap(const_cast<std::uint8_t*>(view_.data()), view_.size());
}

}  // namespace sotto::data
