// Ctrl-C and SIGTERM as a question that a long command asks between two pieces of work, so that it ends in order.
#pragma once

#include <functional>

namespace sotto {

// From now on both signals are only noted. The function that is returned says whether one has come.
std::function<bool()> stop_on_signals();

}  // namespace sotto
