#include "data/tokenizer/byte_level.h"

#include "data/text/utf8.h"

namespace sotto::data {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr unsigned kCharacters = 0x100 + 68;

// Byte of each character, -1 where the table has none.
constexpr std::array<int, kCharacters> byte_of_character() {
  std::array<int, kCharacters> out{};
  out.fill(-1);
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) out[stands_for_itself(byte) ? byte : next++] = static_cast<int>(byte);
  return out;
}

constexpr auto kByteOfCharacter = byte_of_character();

}  // namespace

std::array<std::string, 256> byte_level_characters() {
  std::array<std::string, 256> out;
  for (unsigned c = 0; c < kCharacters; ++c)
    if (kByteOfCharacter[c] >= 0) append_utf8(out[static_cast<std::size_t>(kByteOfCharacter[c])], c);
  return out;
}

std::string bytes_of_token(std::string_view token) {
  std::string out;
  for (std::size_t i = 0; i < token.size();) {
    const auto lead = static_cast<std::uint8_t>(token[i]);
    unsigned c = lead;
    std::size_t size = 1;
    if (lead >= 0x80) {  // the table's characters take at most two bytes
      if (lead < 0xc2 || lead > 0xc5 || i + 1 >= token.size() || (static_cast<std::uint8_t>(token[i + 1]) & 0xc0) != 0x80)
        return std::string(token);
      c = ((lead & 0x1fU) << 6) | (static_cast<std::uint8_t>(token[i + 1]) & 0x3fU);
      size = 2;
    }
    if (c >= kCharacters || kByteOfCharacter[c] < 0) return std::string(token);
    out += static_cast<char>(kByteOfCharacter[c]);
    i += size;
  }
  return out;
}

}  // namespace sotto::data
