// GPT-2's byte-to-unicode table: every byte as one printable character, so that vocabularies are text. Printable Latin-1
// bytes stand for themselves, the other 68 for U+0100 onwards, in byte order (openai/gpt-2, encoder.py, bytes_to_unicode).
// Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sotto::data {

// UTF-8 of each byte's character.
std::array<std::string, 256> byte_level_characters();
// The bytes that a byte-level string stands for; a string with any character outside the table stands for itself.
std::string bytes_of_token(std::string_view token);

}  // namespace sotto::data
