#include "base/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "tests/support/catch.h"

namespace sotto {
namespace {

// Sets a variable of the environment, and puts back what stood there.
class Environment {
 public:
  Environment(std::string name, const char* value) : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) before_ = before;
    value ? ::setenv(name_.c_str(), value, 1) : ::unsetenv(name_.c_str());
  }
  ~Environment() { before_ ? ::setenv(name_.c_str(), before_->c_str(), 1) : ::unsetenv(name_.c_str()); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a terminal shows colours unless NO_COLOR is set or it is dumb; a file never does", "[terminal]") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  {
    const Environment kind("TERM", "xterm"), plain("NO_COLOR", nullptr);
    CHECK(redraws(terminal));
    CHECK(colours(terminal));
    const Environment empty("NO_COLOR", "");
    CHECK(colours(terminal));
    const Environment set("NO_COLOR", "1");
    CHECK_FALSE(colours(terminal));
    CHECK(redraws(terminal));
  }
  for (const char* kind : {"dumb", ""}) {
    const Environment dumb("TERM", kind), plain("NO_COLOR", nullptr);
    CHECK_FALSE(redraws(terminal));
    CHECK_FALSE(colours(terminal));
  }
  ::close(terminal);
  const Environment kind("TERM", "xterm");
  const int file = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK_FALSE(colours(file));
  ::close(file);
}

}  // namespace sotto
