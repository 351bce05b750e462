// Which encoding a text that is not UTF-8 seems to have (ICU's detector). A guess from the frequency of letters: it is for a
// message, never for a conversion on the way.
#pragma once

#include <string>
#include <string_view>

namespace sotto::data {

// A name that iconv knows; empty when nothing is likely.
std::string encoding_of(std::string_view bytes);

}  // namespace sotto::data
