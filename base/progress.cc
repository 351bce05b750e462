#include "base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/terminal.h"

namespace sotto {
namespace {
using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}
}  // namespace

Progress::Progress(std::string what, std::uint64_t total)
    : what_(std::move(what)),
      total_(std::max<std::uint64_t>(total, 1)),
      terminal_(redraws(STDERR_FILENO)),
      start_(Clock::now()),
      drawn_(start_) {}

Progress::~Progress() { finish(); }

void Progress::advance(std::uint64_t done) {
  done_ = std::min(total_, done_ + done);
  const double interval = terminal_ ? 0.1 : 2.0;
  if (seconds_between(drawn_, Clock::now()) >= interval) draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw(true);
}

void Progress::draw(bool last) {
  if (Silence::holds()) return;
  drawn_ = Clock::now();
  const double elapsed = seconds_between(start_, drawn_);
  const double fraction = static_cast<double>(done_) / static_cast<double>(total_);
  const double left = fraction > 0 ? elapsed * (1 - fraction) / fraction : 0;
  if (terminal_) {
    constexpr int kWidth = 30;
    const int filled = static_cast<int>(fraction * kWidth);
    const std::string bar =
        std::string(static_cast<std::size_t>(filled), '#') + std::string(static_cast<std::size_t>(kWidth - filled), '.');
    std::fprintf(stderr, "\r%s [%s] %3.0f%%  %.0f s, ETA %.0f s   %s", what_.c_str(), bar.c_str(), fraction * 100, elapsed,
                 left, last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s: %llu/%llu, %.0f s, ETA %.0f s\n", what_.c_str(), static_cast<unsigned long long>(done_),
                 static_cast<unsigned long long>(total_), elapsed, left);
  }
  std::fflush(stderr);
}

}  // namespace sotto
