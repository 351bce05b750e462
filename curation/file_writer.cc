#include "curation/file_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sotto::curation {
namespace {

std::string part_of(const std::string& path) { return path + ".part"; }
Error failed(const std::string& what, const std::string& path) {
  return unavailable(what + " '" + path + "': " + std::strerror(errno));
}

}  // namespace

Result<FileWriter> FileWriter::create(const std::string& path) {
  const int fd = ::open(part_of(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  std::FILE* file = fd < 0 ? nullptr : ::fdopen(fd, "wb");
  if (file == nullptr) return failed("cannot write", part_of(path));
  return FileWriter(path, file);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)) {}

FileWriter::~FileWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(part_of(path_).c_str());
}

Result<void> FileWriter::line(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fputc('\n', file_) == EOF)
    return failed("cannot write", part_of(path_));
  return {};
}

Result<void> FileWriter::finish() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) return failed("cannot write", part_of(path_));
  if (std::fclose(std::exchange(file_, nullptr)) != 0 || ::rename(part_of(path_).c_str(), path_.c_str()) != 0)
    return failed("cannot write", path_);
  return {};
}

}  // namespace sotto::curation
