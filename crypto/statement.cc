#include "crypto/statement.h"

namespace sotto::crypto {

Bytes encode(const Statement& statement) {
  ByteWriter out;
  out.text("sotto/statement/v1").text(statement.label).text(statement.sender).text(statement.run.value());
  out.u32(statement.round.value()).u32(statement.attempt.value()).raw(statement.roster).raw(statement.body);
  return out.take();
}

Signature sign_statement(const SigningKey& key, const Statement& statement) { return sign(key, encode(statement)); }

Result<void> verify_statement(const VerifyKey& key, const Statement& statement, const Signature& signature) {
  if (verify(key, encode(statement), signature)) return {};
  return protocol_error("the signature on '" + statement.label + "' of '" + statement.sender + "' (run '" +
                        statement.run.value() + "', round " + std::to_string(statement.round.value()) + ", attempt " +
                        std::to_string(statement.attempt.value()) + ") does not verify under its key with fingerprint " +
                        fingerprint(key) + ": the message was changed, belongs elsewhere, or another key signed it");
}

Bytes with_signature(Bytes body, const Signature& signature) {
  body.insert(body.end(), signature.begin(), signature.end());
  return body;
}

}  // namespace sotto::crypto
