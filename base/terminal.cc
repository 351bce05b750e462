#include "base/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace sotto {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

bool redraws(int descriptor) {
  const auto kind = environment("TERM");
  return ::isatty(descriptor) != 0 && !kind.empty() && kind != "dumb";
}

bool colours(int descriptor) { return redraws(descriptor) && environment("NO_COLOR").empty(); }

}  // namespace sotto
