#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "base/terminal.h"

namespace sotto {
namespace {

Level level_from_environment() {
  const char* text = std::getenv("SOTTO_LOG");
  if (!text) return Level::kInfo;
  const std::string_view name = text;
  if (name == "debug") return Level::kDebug;
  if (name == "warning") return Level::kWarning;
  if (name == "error") return Level::kError;
  return Level::kInfo;
}

std::atomic<int> silences{0};

std::atomic<Level>& threshold() {
  static std::atomic<Level> level{level_from_environment()};
  return level;
}

const char* name_of(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
  }
  SOTTO_CHECK(false);
}

const char* colour_of(Level level) {
  switch (level) {
    case Level::kDebug: return "\033[2m";
    case Level::kInfo: return "\033[36m";
    case Level::kWarning: return "\033[33m";
    case Level::kError: return "\033[31m";
  }
  SOTTO_CHECK(false);
}

std::string timestamp() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

void set_log_level(Level level) { threshold() = level; }

Silence::Silence() { ++silences; }
Silence::~Silence() { --silences; }
bool Silence::holds() { return silences > 0; }

void log(Level level, std::string_view event, std::initializer_list<Json::Member> fields) {
  if (level < threshold() || Silence::holds()) return;
  std::string line;
  if (::isatty(STDERR_FILENO)) {
    line = colours(STDERR_FILENO) ? std::string(colour_of(level)) + std::string(event) + "\033[0m" : std::string(event);
    for (const auto& [name, value] : fields)
      line += " " + name + "=" + (value.is_string() ? value.as_string() : value.dump());
  } else {
    Json object = Json::object({{"time", timestamp()}, {"level", name_of(level)}, {"event", event}});
    for (const auto& [name, value] : fields) object.set(name, value);
    line = object.dump();
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // one call a line, so that lines of several threads do not mix
}

}  // namespace sotto
