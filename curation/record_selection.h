// The kept part of a data set: the lines themselves, unchanged, and for each line that was left out, why. What becomes of a
// record depends on that record and on earlier ones of the same patient, never on another patient's.
#pragma once

#include <string>
#include <vector>

#include "curation/data_check.h"

namespace sotto::curation {

struct SelectionOptions {
  double min_score = 0.5;     // records below are left out
  bool keep_repeats = false;  // of the same patient
};

struct Selection {
  std::uint64_t kept = 0;
  std::uint64_t dropped = 0;
};

// Writes the kept lines of the checked training files to `out` and {"where", "score", "why"} of the others to `reasons`, a
// line each. Both are written beside and renamed; existing files are replaced. The files must be as they were when they were
// checked.
Result<Selection> select(const DataCheck& check, const SelectionOptions& options, const std::string& out,
                         const std::string& reasons);

}  // namespace sotto::curation
