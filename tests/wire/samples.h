// One filled message of every kind.
#pragma once

#include <vector>

#include "tests/support/fixed_random.h"
#include "wire/messages.h"

namespace sotto::wire {

std::vector<ToCoordinator> samples_to_coordinator(RandomSource& source);
std::vector<ToSite> samples_to_site(RandomSource& source);

}  // namespace sotto::wire
