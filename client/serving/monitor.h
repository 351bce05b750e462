// The commands that follow a model in use: monitor (metrics and drift of its questions), feedback collect and feedback
// accept (curation/feedback.h). They read the site's own log of queries (curation/usage_log.h) and send nothing.
#pragma once

#include <string>
#include <vector>

#include "base/program/cli.h"

namespace sotto::client {

struct MonitorCommand {
  std::string log;       // JSON lines
  std::string baseline;  // the training records; empty: the first window stands for them
  std::string data_key;
  std::int64_t window = 200;
  double confidence = 0.99;
  std::string out;  // feedback
  std::string by;
  bool json = false;
};

// Refused, so that a script stops, when there is a signal to train again.
Result<void> monitor(const MonitorCommand& command);

// monitor and feedback; `command` outlives the program's run.
void add_monitor_commands(Command& root, MonitorCommand& command);

}  // namespace sotto::client
