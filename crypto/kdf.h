// HKDF with SHA-256 (RFC 5869): extract, then expand. `info` names protocol, version, run, round, parties and purpose, so
// that no two purposes share a key. `salt` may be public.
#pragma once

#include "crypto/secret.h"

namespace sotto::crypto {

void hkdf_sha256_into(std::span<std::uint8_t> out, ByteSpan salt, ByteSpan ikm, ByteSpan info);

template <std::size_t N>
  requires(N > 0 && N <= 255 * 32)
Secret<N> hkdf_sha256(ByteSpan salt, ByteSpan ikm, ByteSpan info) {
  return Secret<N>::make([&](std::span<std::uint8_t, N> out) { hkdf_sha256_into(out, salt, ikm, info); });
}

}  // namespace sotto::crypto
