#include "client/protocol/sealed_share.h"

#include "crypto/aead.h"
#include "crypto/kdf.h"

namespace sotto::client {
namespace {

Result<crypto::AeadKey> key_of(const SealingContext& c, const crypto::SealKey& mine, const crypto::SealPublicKey& theirs) {
  SOTTO_TRY(const crypto::SealAgreement agreement, crypto::agree(mine, theirs));
  ByteWriter info;
  info.text("sotto/seal/v1").text(c.header.run.value()).u32(c.header.round.value()).u32(c.header.attempt.value());
  info.u32(c.from.value()).u32(c.to.value()).raw(c.from_key.value()).raw(c.to_key.value());
  return crypto::AeadKey(crypto::hkdf_sha256<32>(c.roster, agreement.reveal(), info.view()));
}

Bytes associated_data(const SealingContext& c) {
  ByteWriter out;
  out.text("sotto/shares/v1").text(c.header.run.value()).u32(c.header.round.value()).u32(c.header.attempt.value());
  out.raw(c.roster).u32(c.from.value()).u32(c.to.value());
  return out.take();
}

}  // namespace

Result<Bytes> seal_share(const SealingContext& context, const crypto::SealKey& mine, const SharePlaintext& plaintext,
                         RandomSource& random) {
  SOTTO_TRY(const crypto::AeadKey key, key_of(context, mine, context.to_key));
  ByteWriter out;
  out.raw(plaintext.seed_share.reveal()).raw(plaintext.key_share.reveal());
  out.bytes(plaintext.own_head).bytes(plaintext.coordinator_head);
  const crypto::SecretBuffer clear(out.take());
  const Bytes ad = associated_data(context);
  return crypto::seal(key, clear.reveal(), crypto::AssociatedData(ad), random);
}

Result<SharePlaintext> open_share(const SealingContext& context, const crypto::SealKey& mine, ByteSpan sealed) {
  SOTTO_TRY(const crypto::AeadKey key, key_of(context, mine, context.from_key));
  const Bytes ad = associated_data(context);
  SOTTO_TRY(const crypto::SecretBuffer clear, crypto::open(key, sealed, crypto::AssociatedData(ad)));
  ByteReader in(clear.reveal());
  const crypto::SecretBuffer seed_share(in.raw(32));
  const crypto::SecretBuffer key_share(in.raw(32));
  wire::HeadBytes own_head = in.bytes();
  wire::HeadBytes coordinator_head = in.bytes();
  SOTTO_TRY_VOID(in.finish("sealed share"));
  return SharePlaintext{crypto::ShareValue::from(seed_share.reveal()), crypto::ShareValue::from(key_share.reveal()),
                        std::move(own_head), std::move(coordinator_head)};
}

}  // namespace sotto::client
