// Shamir's secret sharing of 32 bytes over GF(2^8), byte by byte (Shamir 1979), field polynomial x^8 + x^4 + x^3 + x + 1.
// Any `threshold` shares rebuild the secret; fewer are independent of it. Arithmetic on secrets is by shifts and masks: no
// branch and no table look-up depends on one. The points 1..n are public.
#pragma once

#include <vector>

#include "crypto/secret.h"

namespace sotto::crypto {

using ShareValue = Secret<32, struct ShareValueTag>;

struct Share {
  std::uint8_t point;  // 1..255; a roster's site i has point i + 1
  ShareValue value;
};

// Shares at points 1..count of one random polynomial of degree threshold - 1. Requires 2 <= threshold <= count <= 255 (with
// a threshold of 1 each share would be the secret).
std::vector<Share> split(std::span<const std::uint8_t, 32> secret, std::uint32_t threshold, std::uint32_t count,
                         RandomSource& source);

// Rebuilds a secret from the first `threshold` of the shares. Fails (kProtocol) on fewer, on point 0 and on a point that
// comes twice. A wrong share gives a wrong secret, not an error: check shares by share_hash and the result by its public key
// or commitment.
Result<Secret<32>> combine(std::span<const Share> shares, std::uint32_t threshold);

// What a dealer signs for every share, so that whoever hands out another one is named:
// SHA-256("sotto/share/v1" | u32 length and bytes of context | point | value). `context` names run, round, attempt, dealer
// and which secret it is. Hides the share: its 256 bits are uniform.
Digest share_hash(const Share& share, ByteSpan context);

}  // namespace sotto::crypto
