// What `sotto-client run` waits for while nothing comes from the coordinator, so that its operator is told and need not
// guess. No clock: the time is handed in. One thread.
#pragma once

#include <chrono>
#include <optional>

namespace sotto::client {

enum class Waiting {
  kForConnection,  // nobody answers at the coordinator's address
  kForWelcome,     // the coordinator answers and has not let this site in
};

class ConnectionWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit ConnectionWatch(Time now) : since_(now) {}

  void connected(Time now);  // a connection stands; the coordinator has not greeted this site on it yet
  void welcomed() { state_.reset(); }
  void lost(Time now);  // no connection stands
  // What there is to tell now: five seconds after the waiting began, and then every minute.
  std::optional<Waiting> due(Time now);

 private:
  void wait_for(Waiting what, Time now);
  std::optional<Waiting> state_ = Waiting::kForConnection;  // nullopt: for nothing
  Time since_;
  std::optional<Time> told_;
};

}  // namespace sotto::client
