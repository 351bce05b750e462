// Files: whole reads, and writes that a crash leaves either old or new, never half (written beside, fsynced, renamed).
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sotto {

enum class FileMode { kPublic, kPrivate };  // 0644, and 0600 for what must not be read by others

Result<std::string> read_text_file(const std::string& path);
Result<Bytes> read_binary_file(const std::string& path);
Result<void> write_file_atomically(const std::string& path, ByteSpan bytes, FileMode mode = FileMode::kPublic);
Result<void> write_file_atomically(const std::string& path, std::string_view text, FileMode mode = FileMode::kPublic);
// Makes the folder and its parents; a folder that this call makes has mode 0700 for kPrivate.
Result<void> make_folder(const std::string& path, FileMode mode = FileMode::kPublic);
bool file_exists(const std::string& path);

// One process at a time: an exclusive advisory lock on a file, held while the object lives. Refused when another holds it.
class FileLock {
 public:
  static Result<FileLock> acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace sotto
