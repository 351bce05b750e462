// Which build of Sotto this is. Any thread.
#pragma once

#include <string_view>

namespace sotto {

std::string_view version();  // "0.2.0": CHANGELOG.md says what that is
std::string_view commit();   // "1a2b3c4d5e6f", "-dirty" behind it where files were changed; programs alone have it

}  // namespace sotto
