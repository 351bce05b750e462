// Files and folders that appear whole or not at all: written beside their place (NAME.new), synced, and renamed by commit().
// Whatever was not committed is removed. For what is too large to hold in memory at once (files.h writes the rest).
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/files.h"

namespace sotto {

class NewFile {
 public:
  static Result<NewFile> create(const std::string& path, FileMode mode = FileMode::kPublic);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&& other) noexcept;
  ~NewFile();

  Result<void> append(ByteSpan bytes);
  std::string path_before_commit() const { return path_ + ".new"; }
  std::uint64_t size() const { return size_; }  // bytes so far
  Result<void> commit();

 private:
  NewFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

class NewFolder {
 public:
  // Refused when there is already a file or a folder with something in it at `path`.
  static Result<NewFolder> create(const std::string& path);
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
