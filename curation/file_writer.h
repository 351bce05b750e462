// A text file that grows line by line and appears under its name only when it is complete. One thread.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sotto::curation {

class FileWriter {
 public:
  // Mode 0600: what is written here are records. Fails when `path` + ".part" cannot be made.
  static Result<FileWriter> create(const std::string& path);
  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();  // removes what was not finished

  Result<void> line(std::string_view text);
  Result<void> finish();  // fsync and rename

 private:
  FileWriter(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  std::FILE* file_;
};

}  // namespace sotto::curation
