// X25519 (RFC 7748) for the two kinds of ephemeral keys of a round. A fresh private key is MaskKey::random(source): any 32
// bytes are one, the function clamps them. Mask keys and seal keys are different types and do not mix.
#pragma once

#include <array>

#include "base/ids.h"
#include "crypto/secret.h"

namespace sotto::crypto {

using MaskPublicKey = Strong<std::array<std::uint8_t, 32>, struct MaskPublicKeyTag>;
using SealPublicKey = Strong<std::array<std::uint8_t, 32>, struct SealPublicKeyTag>;

MaskPublicKey public_key(const MaskKey& key);
SealPublicKey public_key(const SealKey& key);

// Fails (kProtocol) when the peer's key has small order, which makes the result all zero and known to everybody.
Result<MaskAgreement> agree(const MaskKey& mine, const MaskPublicKey& theirs);
Result<SealAgreement> agree(const SealKey& mine, const SealPublicKey& theirs);

}  // namespace sotto::crypto
