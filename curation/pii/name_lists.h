// Common given names and surnames (United States Census Bureau, public domain; frequent names of other countries beside
// them). Constants.
#pragma once

#include <span>
#include <string_view>

namespace sotto::curation {

std::span<const std::string_view> given_names();
std::span<const std::string_view> surnames();

}  // namespace sotto::curation
