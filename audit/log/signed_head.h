// Signed tree heads: a party's Ed25519 signature over "my log, at this size, has this root". Two heads of one log that are
// not prefixes of each other prove that its owner showed different pasts to different parties. Heads carry no time, so the
// same log and key always give the same bytes.
#pragma once

#include <string>

#include "audit/log/event_log.h"
#include "crypto/signature.h"

namespace sotto::audit {

struct SignedHead {
  std::string party;     // a site's name, or "coordinator"
  PublicKeyBytes key{};  // Ed25519 identity that signed
  Digest log{};          // LogImage::id()
  std::uint64_t size = 0;
  Digest root{};
  SignatureBytes signature{};
  bool operator==(const SignedHead&) const = default;
};

// The signed bytes: text "sotto/head/v1", text party, log (32), u64 size, root (32).
Bytes signed_part(const SignedHead& head);
Bytes encode(const SignedHead& head);
Result<SignedHead> decode_head(ByteSpan bytes);
Json to_json(const SignedHead& head);  // with the key's fingerprint
Result<SignedHead> head_from_json(const Json& json);
// What a round descriptor's coordinator_head and a site's head lists refer to: SHA-256(encode(head)).
Digest head_hash(const SignedHead& head);

// The head of the whole log as it stands; the log must not be empty.
SignedHead sign_head(const LogImage& log, const std::string& party, const crypto::SigningKey& key);
// Whether the signature is the head's own key's. Whose key it is, the roster says.
[[nodiscard]] bool signature_holds(const SignedHead& head);
// Whether the log has the head as a prefix: its id, and its root at that size. The Error says which differs.
Result<void> check_prefix(const SignedHead& head, const LogImage& log);

}  // namespace sotto::audit
