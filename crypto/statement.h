// What a protocol signature covers: the label of the step, who says it, where in which run, under which roster, and the hash
// of the whole body. Nobody signs bare bytes, so a signature from one step, round or run is worth nothing in another.
// Encoding, in this order (ByteWriter): text "sotto/statement/v1", text label, text sender, text run, u32 round, u32
// attempt, roster (32 bytes), body (32 bytes).
#pragma once

#include <string>

#include "base/ids.h"
#include "crypto/signature.h"

namespace sotto::crypto {

struct Statement {
  std::string label;   // "keys", "shares", "report", ...
  std::string sender;  // a site's name, or the coordinator's
  RunId run;
  RoundId round;
  AttemptId attempt;
  Digest roster{};  // SHA-256 of the run's roster
  Digest body{};    // SHA-256 of the message's body
  bool operator==(const Statement&) const = default;
};

Bytes encode(const Statement& statement);
Signature sign_statement(const SigningKey& key, const Statement& statement);
// Fails (kProtocol) with a sentence that names label, sender, run, round and attempt.
Result<void> verify_statement(const VerifyKey& key, const Statement& statement, const Signature& signature);
// A signed body as proofs keep it: the body's bytes, then the 64 of its signature.
Bytes with_signature(Bytes body, const Signature& signature);

}  // namespace sotto::crypto
