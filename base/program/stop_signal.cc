#include "base/program/stop_signal.h"

#include <csignal>

namespace sotto {
namespace {

volatile std::sig_atomic_t stop_asked = 0;  // a signal handler may write nothing else
void ask_to_stop(int) { stop_asked = 1; }

}  // namespace

std::function<bool()> stop_on_signals() {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  return [] { return stop_asked != 0; };
}

}  // namespace sotto
