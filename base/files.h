// Files: whole reads, and writes that a crash leaves either old or new, never half. A file is written beside its place, under a
// name that nobody can foresee and that was not there before (O_EXCL, no links followed), synced, and renamed; all of it relative to
// the opened folder, so that nobody who renames folders meanwhile can turn it elsewhere. What a killed process left beside is taken
// away by the next write of the same file.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sotto {

// 0600, and 0700 for folders: what a site or a coordinator keeps. 0644 and 0755, less the umask: what a command makes for others.
enum class FileMode { kPrivate, kPublic };

Result<std::string> read_text_file(const std::string& path);
Result<Bytes> read_binary_file(const std::string& path);
// A file that nobody else may read or change. Refused where others have any right to it, where it is no plain file, and where it is
// larger than `most` bytes.
Result<Bytes> read_private_file(const std::string& path, std::size_t most);
Result<void> write_file_atomically(const std::string& path, ByteSpan bytes, FileMode mode = FileMode::kPrivate);
Result<void> write_file_atomically(const std::string& path, std::string_view text, FileMode mode = FileMode::kPrivate);
// `inside` is a path within `folder`, "report/report.json". For a folder that somebody else may have filled: no component of `inside`
// may be a link (refused by name); folders that are missing are made.
Result<void> write_file_inside(const std::string& folder, const std::string& inside, std::string_view text, FileMode mode);
// Makes the folder and its parents; one that was there stays as it is.
Result<void> make_folder(const std::string& path, FileMode mode = FileMode::kPrivate);
// The same for a folder that belongs to a program (a site's, a coordinator's): where it was there, others lose their rights to it.
Result<void> make_own_folder(const std::string& path);
// False where it cannot be told (no permission).
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
