// UTF-8 as Rust's String::from_utf8_lossy reads it (WHATWG "maximal subpart" practice, Unicode 15 section 3.9): every
// maximal ill-formed piece becomes one U+FFFD. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace sotto::data {

std::string utf8_lossy(std::string_view bytes);
bool is_utf8(std::string_view bytes);
bool is_ascii(std::string_view bytes);

// The code point at `at`, which moves behind it. `text` is well-formed UTF-8, `at` the start of a character in it.
char32_t next_code_point(std::string_view text, std::size_t& at);
// Bytes of the character that begins with `lead`, in well-formed UTF-8.
std::size_t character_size(char lead);

// Appends one code point; `code_point` is below 0x110000 and no surrogate.
void append_utf8(std::string& out, char32_t code_point);

}  // namespace sotto::data
