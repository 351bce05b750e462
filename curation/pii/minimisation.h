// Puts whole files (`key_file`: of sealed ones) through the minimiser, and writes the result or shows it as a diff. A line
// that is no record ends it, with its number.
#pragma once

#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "curation/pii/minimiser.h"

namespace sotto::curation {

struct Minimised {
  std::uint64_t records = 0;
  std::uint64_t changed = 0;
  PiiCounts counts{};
  std::set<std::string> kept;  // fields that were left alone: patient_id, and numbers
};

// Appears under `out` only when it is complete, mode 0600.
Result<Minimised> minimise_files(Minimiser& minimiser, const std::vector<std::string>& files, const std::string& key_file,
                                 const std::string& out);
// For each changed record "file:line", and each changed line of its texts before and after. It shows the text that would be
// removed, so it is only for those who may read the records.
Result<Minimised> preview_files(Minimiser& minimiser, const std::vector<std::string>& files, const std::string& key_file,
                                std::ostream& out);

}  // namespace sotto::curation
