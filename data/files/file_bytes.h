// A file's bytes for random reading: mapped read-only into memory, or held (what a test or a fuzzer made). Movable, not
// copyable; reading from several threads is safe. A mapped file that somebody truncates meanwhile ends the process (SIGBUS):
// model files are replaced by renaming, never rewritten in place.
#pragma once

#include <string>

#include "base/bytes.h"

namespace sotto::data {

class FileBytes {
 public:
  // Fails when the file cannot be opened, is no regular file, or cannot be mapped. An empty file gives an empty view.
  static Result<FileBytes> map(const std::string& path);
  static FileBytes hold(Bytes bytes);

  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&& other) noexcept;
  ~FileBytes();

  ByteSpan view() const { return view_; }
  // Pages that lie wholly in `part` of the view may leave memory: they are read from the file again when they are needed.
  // Bytes that are held, not mapped, stay.
  void drop_pages(ByteSpan part) const;

 private:
  FileBytes() = default;
  Bytes held_;
  ByteSpan view_;
  bool mapped_ = false;
};

}  // namespace sotto::data
