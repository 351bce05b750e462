// What one site says to another in SHARES, sealed so that the coordinator carries it without reading it: one Shamir share of
// the sender's self-mask seed and of its mask key, and the two heads that let receivers see whether all were shown one log.
//   key   = HKDF-SHA256(salt = H(roster), ikm = X25519(seal keys), info = "sotto/seal/v1" | run | round | attempt | i | j
//           | seal key of i | seal key of j), for the direction i -> j
//   AD    = "sotto/shares/v1" | run | round | attempt | H(roster) | i | j
// Pure functions, any thread.
#pragma once

#include "crypto/key_agreement.h"
#include "crypto/shamir.h"
#include "wire/messages.h"

namespace sotto::client {

struct SharePlaintext {
  crypto::ShareValue seed_share;
  crypto::ShareValue key_share;
  wire::HeadBytes own_head;
  wire::HeadBytes coordinator_head;
};

struct SealingContext {
  wire::RoundHeader header;
  Digest roster{};
  SiteIndex from;
  SiteIndex to;
  crypto::SealPublicKey from_key;
  crypto::SealPublicKey to_key;
};

// `mine` is the private key of one end, the other end's public key is in the context. Fails (kProtocol) on a peer's key of
// small order.
Result<Bytes> seal_share(const SealingContext& context, const crypto::SealKey& mine, const SharePlaintext& plaintext,
                         RandomSource& random);
Result<SharePlaintext> open_share(const SealingContext& context, const crypto::SealKey& mine, ByteSpan sealed);

}  // namespace sotto::client
