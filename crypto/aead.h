// AES-256-GCM (NIST SP 800-38D). The 96-bit nonce is drawn inside from `source`, and associated data is mandatory: it says
// what the plaintext is for, so that a sealed message is worth nothing in another place. Sealed bytes are nonce | ciphertext
// | tag. With random nonces one key may seal at most 2^32 messages (SP 800-38D, section 8.3); keys here are per pair and
// round, or per file.
#pragma once

#include "crypto/secret.h"

namespace sotto::crypto {

constexpr std::size_t kAeadNonceSize = 12;
constexpr std::size_t kAeadTagSize = 16;
constexpr std::size_t kAeadOverhead = kAeadNonceSize + kAeadTagSize;

// A type of its own, so that plaintext and associated data cannot be swapped. Must not be empty.
struct AssociatedData {
  explicit AssociatedData(ByteSpan data) : bytes(data) { SOTTO_CHECK(!data.empty()); }
  ByteSpan bytes;  // viewed, not owned
};

Bytes seal(const AeadKey& key, ByteSpan plaintext, AssociatedData associated, RandomSource& source);
// Fails (kProtocol) when key, associated data or any bit of `sealed` differ; nothing of the plaintext is returned then.
Result<SecretBuffer> open(const AeadKey& key, ByteSpan sealed, AssociatedData associated);

}  // namespace sotto::crypto
