// Lines of a text file, one after another, whatever its size: plain, gzip (zlib), zstd or sealed (sealed_file.h), told apart
// by the first bytes. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

namespace sotto::data {

class LineSource {
 public:
  // `key_file` holds the DataKey of sealed files; it is read when one is met. Fails when the file cannot be opened.
  static Result<LineSource> open(const std::string& path, const std::string& key_file = {});
  LineSource(LineSource&&) noexcept;
  LineSource& operator=(LineSource&&) noexcept;
  ~LineSource();

  // The next line without its line break (LF or CR LF); false at the end. A byte order mark before the first line is left
  // out. Fails on a compressed file that is damaged or ends too early, and on a line above 64 MiB.
  Result<bool> next(std::string& line);
  std::uint64_t number() const;  // of the last line, from 1
  std::string where() const;     // "file:line"

 private:
  struct State;
  explicit LineSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sotto::data
