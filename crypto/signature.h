// Ed25519 (RFC 8032): identities of sites, coordinator and auditor. A new identity is SigningKey::random(source).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "crypto/secret.h"

namespace sotto::crypto {

using Signature = std::array<std::uint8_t, 64>;
using VerifyKey = Strong<std::array<std::uint8_t, 32>, struct VerifyKeyTag>;

VerifyKey verify_key(const SigningKey& key);
Signature sign(const SigningKey& key, ByteSpan message);
[[nodiscard]] bool verify(const VerifyKey& key, ByteSpan message, const Signature& signature);

// What people read to each other over the telephone: the first 16 bytes of SHA-256("sotto/fingerprint/v1" | key) in
// hexadecimal, eight groups of four joined by '-'. 128 bits: finding a second key for a given fingerprint takes 2^128 tries.
std::string fingerprint(const VerifyKey& key);
// Whether `text` is the key's fingerprint; case, spaces, '-' and ':' do not matter, every digit does.
[[nodiscard]] bool fingerprint_matches(std::string_view text, const VerifyKey& key);

}  // namespace sotto::crypto
