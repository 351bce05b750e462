// Dates in the spellings that pii.h finds, moved by a number of days and written in the same spelling. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sotto::curation {

// None when the text is no date of the calendar. Of 03/04/2021 the first number is the month unless it cannot be; "." means
// day first.
std::optional<std::string> moved_date(std::string_view text, int days);

}  // namespace sotto::curation
