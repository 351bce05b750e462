// Which data sets are neighbours, that is, what epsilon compares. Values; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sotto::privacy {

enum class Neighbours : std::uint8_t {
  kAddRemove = 1,  // one data set has one unit more
  kReplace = 2,    // one unit is exchanged for another
  kZeroOut = 3,    // one unit's contribution is made zero, and who takes part is drawn alike: the pairs of kAddRemove
};
std::string_view to_string(Neighbours neighbours);  // "add-remove", "replace", "zero-out"
Result<Neighbours> neighbours_from_string(std::string_view name);

}  // namespace sotto::privacy
