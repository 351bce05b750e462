#include "base/version.h"

namespace sotto {

std::string_view version() { return SOTTO_VERSION; }

}  // namespace sotto
