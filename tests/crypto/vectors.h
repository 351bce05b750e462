// Reading tests/vectors/crypto.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/json.h"

namespace sotto::crypto {

inline Json vectors(const std::string& file) {
  return Json::read_file(std::string(SOTTO_VECTORS) + "/crypto/" + file).value();
}
inline Bytes hex(std::string_view text) { return from_hex(text).value(); }
inline Bytes hex_at(const Json& object, std::string_view name) { return hex(object.at(name).as_string()); }
inline Digest digest_at(const Json& object, std::string_view name) {
  return digest_from_hex(object.at(name).as_string()).value();
}
template <std::size_t N>
std::array<std::uint8_t, N> array_at(const Json& object, std::string_view name) {
  const Bytes bytes = hex_at(object, name);
  SOTTO_CHECK(bytes.size() == N);
  std::array<std::uint8_t, N> out{};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}
inline bool equal(ByteSpan a, ByteSpan b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

}  // namespace sotto::crypto
