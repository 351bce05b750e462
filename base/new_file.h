// Files and folders that appear whole or not at all (files.h says how), for what is too large to hold in memory at once. Whatever
// was not committed is removed.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/files.h"

namespace sotto {

// An open descriptor, closed at the end. -1: none.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

class NewFile {
 public:
  static Result<NewFile> create(const std::string& path, FileMode mode = FileMode::kPrivate);
  // The same in a folder that is open; `shown` is the folder's path for messages.
  static Result<NewFile> create_in(Descriptor folder, const std::string& shown, const std::string& name, FileMode mode);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&& other) noexcept;
  ~NewFile();

  Result<void> append(ByteSpan bytes);
  std::string path_before_commit() const { return shown_ + "/" + beside_; }
  std::uint64_t size() const { return size_; }  // bytes so far
  Result<void> commit();

 private:
  NewFile(Descriptor folder, std::string shown, std::string name)
      : folder_(std::move(folder)), shown_(std::move(shown)), name_(std::move(name)) {}
  Result<void> open_beside(FileMode mode);
  void remove_left_over() const;
  void discard();
  Descriptor folder_;
  std::string shown_;   // the folder's path
  std::string name_;    // of the file
  std::string beside_;  // of the file until commit()
  Descriptor file_;     // locked while it is written, so that nobody takes it for a left-over
  std::uint64_t size_ = 0;
};

class NewFolder {
 public:
  // Refused when there is already a file or a folder with something in it at `path`.
  static Result<NewFolder> create(const std::string& path, FileMode mode = FileMode::kPublic);
  NewFolder(NewFolder&& other) noexcept;
  NewFolder& operator=(NewFolder&& other) noexcept;
  ~NewFolder();

  std::string path(const std::string& name) const { return beside_ + "/" + name; }  // to write to, before commit()
  Result<void> commit();

 private:
  explicit NewFolder(std::string path) : path_(std::move(path)), beside_(path_ + ".new") {}
  std::string path_;
  std::string beside_;  // empty: committed or moved from
};

}  // namespace sotto
