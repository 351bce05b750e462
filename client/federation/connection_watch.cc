#include "client/federation/connection_watch.h"

namespace sotto::client {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirst = 5s;   // a connection and its greeting take far less
constexpr auto kAgain = 60s;  // seldom enough not to fill a log overnight

}  // namespace

void ConnectionWatch::connected(Time now) { wait_for(Waiting::kForWelcome, now); }
void ConnectionWatch::lost(Time now) { wait_for(Waiting::kForConnection, now); }

// An attempt that fails again and again is one waiting, not many.
void ConnectionWatch::wait_for(Waiting what, Time now) {
  if (state_ == what) return;
  state_ = what;
  since_ = now;
  told_.reset();
}

std::optional<Waiting> ConnectionWatch::due(Time now) {
  if (!state_) return std::nullopt;
  if (told_ ? now - *told_ < kAgain : now - since_ < kFirst) return std::nullopt;
  told_ = now;
  return state_;
}

}  // namespace sotto::client
