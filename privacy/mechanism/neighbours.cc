#include "privacy/mechanism/neighbours.h"

#include <string>

#include "base/check.h"

namespace sotto::privacy {

std::string_view to_string(Neighbours neighbours) {
  switch (neighbours) {
    case Neighbours::kAddRemove: return "add-remove";
    case Neighbours::kReplace: return "replace";
    case Neighbours::kZeroOut: return "zero-out";
  }
  throw Failure("a neighbouring relation outside its enumeration");
}

Result<Neighbours> neighbours_from_string(std::string_view name) {
  for (const Neighbours neighbours : {Neighbours::kAddRemove, Neighbours::kReplace, Neighbours::kZeroOut}) {
    if (name == to_string(neighbours)) return neighbours;
  }
  return invalid("neighbours '" + std::string(name) + "' is not known; use add-remove, replace or zero-out");
}

}  // namespace sotto::privacy
