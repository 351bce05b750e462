// Progress of long work on stderr: a bar with an ETA on a terminal, plain lines (at most one every two seconds) otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sotto {

class Progress {
 public:
  Progress(std::string what, std::uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(std::uint64_t done = 1);
  void finish();

 private:
  void draw(bool last);
  std::string what_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  bool terminal_;
  bool finished_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace sotto
