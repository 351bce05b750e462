// Telephone numbers in a text, as Google's libphonenumber finds them: numbers that exist by the numbering plans of the given
// regions or, with a plus sign, of any. Safe from several threads.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto::curation {

struct PhoneSpan {
  std::size_t begin;
  std::size_t end;
};
// In bytes; `text` is well-formed UTF-8. Numbers of several regions may overlap. `regions`: "US", "GB" (ISO 3166-1).
std::vector<PhoneSpan> find_phones(std::string_view text, const std::vector<std::string>& regions);
// Refused: a region that has no numbering plan.
Result<void> check_regions(const std::vector<std::string>& regions);

}  // namespace sotto::curation
