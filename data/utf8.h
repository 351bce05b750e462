// UTF-8 as Rust's String::from_utf8_lossy reads it (WHATWG "maximal subpart" practice, Unicode 15 section 3.9): every
// maximal ill-formed piece becomes one U+FFFD. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace sotto::data {

std::string utf8_lossy(std::string_view bytes);

// Appends one code point; `code_point` is below 0x110000 and no surrogate.
void append_utf8(std::string& out, char32_t code_point);

}  // namespace sotto::data
