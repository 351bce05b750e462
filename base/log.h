// The running log, on stderr: one JSON object a line, or text on a terminal, coloured where it shows colours (terminal.h). An event has a snake_case name and
// fields. Counts and ids only: never updates, losses of single records, or keys. What must be kept goes to the event log.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/json.h"

namespace sotto {

enum class Level { kDebug, kInfo, kWarning, kError };

// Below `level` nothing is written; default kInfo, or SOTTO_LOG=debug|info|warning|error in the environment.
void set_log_level(Level level);
void log(Level level, std::string_view event, std::initializer_list<Json::Member> fields = {});

// While one lives, neither the log nor a Progress writes anything: around work of which nobody may see more than its result.
class Silence {
 public:
  Silence();
  ~Silence();
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  static bool holds();
};

}  // namespace sotto
