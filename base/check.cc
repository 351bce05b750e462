#include "base/check.h"

namespace sotto {

void fail_check(const char* condition, const char* file, int line) {
  const std::string path = file;
  const auto slash = path.find_last_of('/');
  throw Failure("broken invariant: " + std::string(condition) + " (" + path.substr(slash + 1) + ":" + std::to_string(line) +
                ")");
}

}  // namespace sotto
